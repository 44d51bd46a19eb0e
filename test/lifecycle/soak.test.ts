import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../scripts/soak.mjs', import.meta.url));

/** The short form of the campaign: `node --expose-gc scripts/soak.mjs --seconds 600`. */
it('survives aborts, closings, changes of files and terminated workers at random moments', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, '--seconds', '10'], {
    timeout: 55_000,
  });
  for (const scenario of ['abort', 'change', 'close', 'slice', 'terminate']) expect(stdout).toContain(`${scenario}: `);
});
