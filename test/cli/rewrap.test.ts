import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodePage, newToken } from '#dist/recovery/page.js';
import { cli, document, encryptedWorkspace, errorOf, readJwks } from './harness.js';

/** `model.ct.safetensors` under `keys.json`, and other keys in `new.json`. */
async function withNewKeys(options: readonly string[] = []): Promise<string> {
  const cwd = await encryptedWorkspace(options);
  const made = await cli(['keygen', '-o', 'new.json'], { cwd });
  if (made.exitCode !== 0) throw new Error(made.stderr);
  return cwd;
}

async function verifies(cwd: string, file: string, keys: string, ...more: string[]): Promise<boolean> {
  const result = await cli(['verify', file, '-k', keys, ...more], { cwd });
  expect([0, 3]).toContain(result.exitCode);
  return result.exitCode === 0;
}

const OLD_TO_NEW = ['rewrap', 'model.ct.safetensors', '-k', 'keys.json', '-n', 'new.json'];

describe('rewrap', () => {
  it('changes the keys in place', async () => {
    const cwd = await withNewKeys();
    const before = readdirSync(cwd);
    expect(await cli([...OLD_TO_NEW, '--verify'], { cwd })).toEqual({
      exitCode: 0,
      stdout: 'Rewrapped model.ct.safetensors in place\n',
      stderr: '',
    });
    expect(await verifies(cwd, 'model.ct.safetensors', 'new.json')).toBe(true);
    expect(await verifies(cwd, 'model.ct.safetensors', 'keys.json')).toBe(false);
    expect(readdirSync(cwd)).toEqual(before);
    const back = await cli(['rewrap', 'model.ct.safetensors', '-k', 'new.json', '-n', 'keys.json', '--json'], { cwd });
    expect(document(back)).toEqual({
      path: 'model.ct.safetensors',
      files: [{ path: 'model.ct.safetensors', how: 'in-place' }],
    });
  });

  it('writes a copy, or a header by itself, and leaves the file', async () => {
    const cwd = await withNewKeys();
    const before = readFileSync(join(cwd, 'model.ct.safetensors'));
    expect((await cli([...OLD_TO_NEW, '-o', 'copy.safetensors'], { cwd })).stdout).toBe(
      'Wrote copy.safetensors, rewrapped from model.ct.safetensors\n',
    );
    expect((await cli([...OLD_TO_NEW, '-o', 'new.header', '--detached'], { cwd })).stdout).toBe(
      'Wrote new.header: a header for model.ct.safetensors\n',
    );
    expect(readFileSync(join(cwd, 'model.ct.safetensors'))).toEqual(before);
    expect(await verifies(cwd, 'copy.safetensors', 'new.json')).toBe(true);
    expect(await verifies(cwd, 'model.ct.safetensors', 'new.json', '--header', 'new.header')).toBe(true);
    const attached = await cli(['header', 'attach', 'model.ct.safetensors', 'new.header', 'whole.safetensors'], {
      cwd,
    });
    expect(attached.stdout).toBe('Wrote whole.safetensors: the data of model.ct.safetensors under new.header\n');
    expect(await verifies(cwd, 'whole.safetensors', 'new.json')).toBe(true);
    expect((await cli(['header', 'detach', 'whole.safetensors', 'again.header', '--json'], { cwd })).exitCode).toBe(0);
    expect(readFileSync(join(cwd, 'again.header'))).toEqual(readFileSync(join(cwd, 'new.header')));
    for (const args of [
      [...OLD_TO_NEW, '-o', 'copy.safetensors'],
      ['header', 'detach', 'copy.safetensors', 'new.header'],
      ['header', 'attach', 'copy.safetensors', 'new.header', 'whole.safetensors'],
    ]) {
      expect(errorOf(await cli([...args, '--json'], { cwd }))).toMatchObject({
        code: 'FileError',
        systemCode: 'EEXIST',
      });
      expect((await cli([...args, '--force'], { cwd })).exitCode).toBe(0);
    }
  });

  it('changes the policy, and can overrule one', async () => {
    const cwd = await withNewKeys();
    writeFileSync(join(cwd, 'never.rego'), 'package model\nallow = false\n');
    const plainly = ['rewrap', 'model.ct.safetensors', '-k', 'keys.json', '-n', 'keys.json'];
    const same = [...plainly, '--policy-fuel', '100000000'];
    expect((await cli([...same, '--policy', 'never.rego'], { cwd })).exitCode).toBe(0);
    expect(await verifies(cwd, 'model.ct.safetensors', 'keys.json', '--policy-fuel', '100000000')).toBe(false);
    writeFileSync(join(cwd, 'always.rego'), 'package model\nallow = true\n');
    const denied = await cli([...same, '--policy', 'always.rego', '--json'], { cwd });
    expect([denied.exitCode, errorOf(denied).code]).toEqual([3, 'PolicyDenied']);
    expect((await cli([...plainly, '--policy', 'always.rego', '--overrule-policy'], { cwd })).exitCode).toBe(0);
    expect(await verifies(cwd, 'model.ct.safetensors', 'keys.json', '--policy-fuel', '100000000')).toBe(true);
  });

  it('takes a sharded model by its index', async () => {
    const cwd = await withNewKeys();
    const names = ['encoder.0.weight', 'encoder.0.bias', 'position_ids'];
    const weightMap = Object.fromEntries(names.map((name) => [name, 'model.ct.safetensors']));
    writeFileSync(join(cwd, 'm.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
    const args = ['rewrap', 'm.safetensors.index.json', '-k', 'keys.json', '-n', 'new.json'];
    expect((await cli(args, { cwd })).stdout).toContain('in place');
    expect(await verifies(cwd, 'm.safetensors.index.json', 'new.json')).toBe(true);
  });

  it('finishes or undoes what was interrupted', async () => {
    const cwd = await withNewKeys();
    const recover = ['rewrap', 'model.ct.safetensors', '--recover'];
    expect((await cli(recover, { cwd })).stdout).toBe('model.ct.safetensors: no rewrap was interrupted\n');
    const journal = join(cwd, 'model.ct.safetensors.rewrap-journal');
    const owner = { pid: 1, host: 'elsewhere', boot: null, namespace: null, started: null };
    writeFileSync(journal, encodePage({ token: newToken(), owner, whole: null }));
    const busy = await cli([...OLD_TO_NEW, '--json'], { cwd });
    expect([busy.exitCode, errorOf(busy).code]).toEqual([1, 'FileBusy']);
    expect(errorOf(busy).message).toContain('rewrap --recover');
    expect(document(await cli([...recover, '--json'], { cwd }))).toEqual({
      path: 'model.ct.safetensors',
      recovery: 'undone',
    });
    expect(existsSync(journal)).toBe(false);
  });

  it('says what is wrong in words of the command line', async () => {
    const cwd = await withNewKeys();
    const { keys } = readJwks(join(cwd, 'new.json'));
    writeFileSync(join(cwd, 'master.json'), JSON.stringify({ keys: keys.filter(({ kty }) => kty === 'oct') }));
    const base = ['rewrap', 'model.ct.safetensors', '-k', 'keys.json'];
    writeFileSync(join(cwd, 'bad.rego'), 'package model\nallow = ');
    const cases: [string[], number, RegExp][] = [
      [base, 2, /--new-keys is missing/],
      [[...base, '-n', 'new.json', '--detached'], 2, /--detached needs --output/],
      [[...base, '-n', 'master.json'], 3, /KeyNotFound/],
      [[...base, '-n', 'nothing.json'], 1, /FileError/],
      [[...base, '-n', 'new.json', '--policy', 'bad.rego'], 3, /--policy.*PolicyError/s],
      [[...base, '-n', 'new.json', '--header', 'public.json'], 2, /--header needs --output/],
      [['rewrap', 'plain.safetensors', '-k', 'keys.json', '-n', 'new.json'], 3, /NotEncrypted/],
    ];
    for (const [args, exitCode, message] of cases) {
      const result = await cli(args, { cwd });
      expect(result.stderr).toMatch(message);
      expect(result.exitCode, result.stderr).toBe(exitCode);
    }
  });
});
