import { getEngine } from '#dist/engine/load.js';
import { vi } from 'vitest';
import { describeDeks } from './deks.js';

// Read when the engine is loaded. Every test file is a process of its own.
vi.hoisted(() => (process.env.CRYPTOTENSORS_ENGINE = 'openssl'));

describeDeks(getEngine());
