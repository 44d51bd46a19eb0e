import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { dataOf, headerFrom, headerOf } from '../support/detach.js';
import { cli, encryptedWorkspace, errorOf, fileOf } from './harness.js';

/** A workspace with a body whose own header says nothing, and the header that belongs to it. */
async function detachedWorkspace(): Promise<string> {
  const cwd = await encryptedWorkspace();
  const file = readFileSync(join(cwd, 'model.ct.safetensors'));
  writeFileSync(join(cwd, 'model.header'), headerOf(file));
  writeFileSync(join(cwd, 'model.body'), Buffer.concat([headerFrom(new Uint8Array(2)), dataOf(file)]));
  return cwd;
}

it('verify, decrypt, bench and inspect take a detached header', async () => {
  const cwd = await detachedWorkspace();
  const header = ['--header', 'model.header'];
  for (const args of [
    ['verify', 'model.body', '-k', 'keys.json', ...header],
    ['decrypt', 'model.body', 'out.safetensors', '-k', 'keys.json', ...header],
    ['bench', 'model.body', '-k', 'keys.json', '--rounds', '1', ...header],
    ['inspect', 'model.body', ...header],
  ]) {
    const { exitCode, stderr } = await cli(args, { cwd });
    expect(exitCode, stderr).toBe(0);
  }
  const found = fileOf(await cli(['inspect', 'model.body', ...header, '--json'], { cwd }));
  expect(found).toMatchObject({ detached: false, tensors: { length: 3 } });
});

it('inspect shows a detached header by itself, as one', async () => {
  const cwd = await detachedWorkspace();
  const { exitCode, stdout } = await cli(['inspect', 'model.header'], { cwd });
  expect(exitCode).toBe(0);
  expect(stdout).toMatch(/^model\.header: a detached header without data; encrypted, format version 2, .* 3 tensors\n/);
});

it('a body that does not fit is refused in the words of the command line', async () => {
  const cwd = await detachedWorkspace();
  const args = ['verify', 'plain.safetensors', '-k', 'keys.json', '--json', '--header'];
  const whole = errorOf(await cli([...args, 'model.ct.safetensors'], { cwd }));
  expect(whole.code).toBe('InvalidHeaderLength');
  expect(whole.message).toContain('"model.ct.safetensors" holds a header of 4096 bytes');
  writeFileSync(join(cwd, 'plain.safetensors'), headerFrom(new Uint8Array(2)));
  const { code, message } = errorOf(await cli([...args, 'model.header'], { cwd }));
  expect(code).toBe('MetadataIncompleteBuffer');
  expect(message).toContain('the body does not fit the detached header: "model.header"');
});
