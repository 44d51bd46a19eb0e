import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { inspectFileSync } from '#dist/index.js';
import { cli, encryptedWorkspace, errorOf, fileOf } from './harness.js';

it('inspect shows the pin as unverified, verify as verified, and --pin takes it', async () => {
  const cwd = await encryptedWorkspace();
  const { pin } = inspectFileSync(join(cwd, 'model.ct.safetensors'));
  const shown = await cli(['inspect', 'model.ct.safetensors'], { cwd });
  expect(shown.stdout).toContain(`pin          ${pin} (nobody vouches for it: verify the file before you pin it)\n`);
  const verify = ['verify', 'model.ct.safetensors', '-k', 'keys.json', '--pin'];
  expect((await cli([...verify, `sha256:${pin}`], { cwd })).stdout).toMatch(new RegExp(`\n  pin ${pin}\n$`));
  expect(fileOf(await cli([...verify, pin, '--json'], { cwd })).pins).toEqual([pin]);
});

it('--pin refuses another file, with exit code 3, and writes nothing', async () => {
  const cwd = await encryptedWorkspace();
  const { pin } = inspectFileSync(join(cwd, 'plain.safetensors'));
  const args = ['decrypt', 'model.ct.safetensors', 'out.safetensors', '-k', 'keys.json', '--json', '--pin'];
  const refused = await cli([...args, pin], { cwd });
  expect(refused.exitCode).toBe(3);
  expect(errorOf(refused)).toMatchObject({ code: 'PinMismatch', expected: `${pin.slice(0, 8)}...` });
  expect(errorOf(refused).message).toContain('but --pin asks for');
  expect(existsSync(join(cwd, 'out.safetensors'))).toBe(false);
  expect((await cli([...args, 'abc'], { cwd })).exitCode).toBe(2);
});
