import { defineConfig } from 'vitest/config';

// Tests run against the built package, the same files that npm ships: `npm test` builds first.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Native threads are shared by the process; more than two workers only fight over the cores of a small machine.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 300_000,
    server: { deps: { external: [/\/dist\//] } },
  },
});
