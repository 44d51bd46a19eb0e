import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Tests run against the compiled modules, each of which they can import: `npm test` builds first. What npm ships is bundled from the
// same sources, and tried by test/package and scripts/matrix.mjs.
export default defineConfig({
  resolve: {
    alias: ['index', 'aws-kms', 'pkcs11'].map((name) => ({
      find: new RegExp(`^cryptotensors${name === 'index' ? '' : `/${name}`}$`),
      replacement: fileURLToPath(new URL(`dist/${name}.js`, import.meta.url)),
    })),
  },
  test: {
    include: ['test/**/*.test.ts'],
    // Native threads are shared by the process; more than two workers only fight over the cores of a small machine.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 300_000,
    server: { deps: { external: [/\/dist\//] } },
  },
});
