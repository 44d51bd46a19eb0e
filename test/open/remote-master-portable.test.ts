import { engineInfo } from 'cryptotensors';
import { expect, test, vi } from 'vitest';
import { describeRemoteMaster } from './remote-master.js';

// Read when the engine is loaded. Every test file is a process of its own.
vi.hoisted(() => (process.env.CRYPTOTENSORS_ENGINE = 'portable'));

test('this is the portable engine', () => {
  expect(engineInfo().engine).toBe('portable');
});

describeRemoteMaster();
