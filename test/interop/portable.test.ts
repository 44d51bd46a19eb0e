import { engineInfo } from 'cryptotensors';
import { expect, it, vi } from 'vitest';
import './license.test.js';

// Read when the engine is loaded. Every test file is a process of its own.
vi.hoisted(() => (process.env.CRYPTOTENSORS_ENGINE = 'portable'));

/* In short: licences go through all that the format has, in both directions. */

it('is the portable engine that is asked here', () => {
  expect(engineInfo().engine).toBe('portable');
});
