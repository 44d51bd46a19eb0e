import { vi } from 'vitest';
import { describeConformance } from './suite.js';

// Read when the engine is loaded. Every test file is a process of its own.
vi.hoisted(() => (process.env.CRYPTOTENSORS_ENGINE = 'portable'));

describeConformance('node:crypto');
