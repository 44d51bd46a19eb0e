import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../scripts/check-readme.mjs', import.meta.url));

it('the README shows what the quick start prints', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [script]);
  expect(stdout).toMatch(/^README\.md shows what the quick start prints \(\d+ lines\)\n$/);
});
