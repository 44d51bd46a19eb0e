import { vi } from 'vitest';
import { describeKnownAnswers } from './known-answers.js';

// Read when the engine is loaded. Every test file is a process of its own.
vi.hoisted(() => (process.env.CRYPTOTENSORS_ENGINE = 'portable'));

describeKnownAnswers('node:crypto');
