import { closeSync, openSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MAIN, cli, document, encryptedWorkspace, errorOf, temporaryFolder, workspace } from './harness.js';

async function licensed(): Promise<string> {
  const cwd = await encryptedWorkspace();
  await cli(['keygen', '--recipient', '-o', 'acme.json', '--public', 'acme-public.json'], { cwd });
  const issue = ['license', 'issue', 'model.ct.safetensors', '-k', 'keys.json', '--expires', '10d'];
  for (const to of ['acme-public.json', 'acme.json']) {
    const { exitCode, stderr } = await cli([...issue, '--to', to, '-o', `${to}.license`], { cwd });
    expect(exitCode).toBe(0);
    expect(stderr.includes("holds a customer's private key")).toBe(to === 'acme.json');
  }
  return cwd;
}

describe('several files in one command', () => {
  it('are looked at all, one by one; the exit code is that of the first refusal', async () => {
    const cwd = await encryptedWorkspace();
    writeFileSync(join(cwd, 'damaged'), readFileSync(join(cwd, 'model.ct.safetensors')).subarray(0, -1));
    const files = ['damaged', 'model.ct.safetensors', 'plain.safetensors'];
    for (const command of [
      ['verify', ...files, '-k', 'keys.json'],
      ['inspect', ...files],
    ]) {
      const text = await cli(command, { cwd });
      expect(text.exitCode).toBe(1);
      expect(text.stdout).toContain('model.ct.safetensors: ');
      expect(text.stderr).toContain('[MetadataIncompleteBuffer]');
      const json = await cli([...command, '--json'], { cwd });
      const found = document(json).files as { path: string; error?: { code: string } }[];
      expect(found.map(({ path }) => path)).toEqual(files);
      expect(found[0]!.error!.code).toBe('MetadataIncompleteBuffer');
      expect(found[1]!.error).toBeUndefined();
      expect(found[2]!.error?.code).toBe(command[0] === 'verify' ? 'NotEncrypted' : undefined);
      expect(errorOf(json).code).toBe('MetadataIncompleteBuffer');
    }
  });

  it('may be licences, held against a time to come', async () => {
    const cwd = await licensed();
    const files = ['acme-public.json.license', 'acme.json.license'];
    expect((document(await cli(['license', 'show', ...files, '--json'], { cwd })).files as unknown[]).length).toBe(2);
    const verify = ['license', 'verify', ...files, '--trust', 'public.json'];
    expect((await cli(verify, { cwd })).exitCode).toBe(0);
    const later = await cli([...verify, '--now', '2199-01-01', '--json'], { cwd });
    expect([later.exitCode, errorOf(later).code]).toEqual([3, 'LicenseExpired']);
  });
});

it('policy check asks the policy of the licence, for the body that it is for', async () => {
  const cwd = await licensed();
  const check = ['policy', 'check', 'model.ct.safetensors', '--license', 'acme.json.license', '--trust', 'public.json'];
  const allowed = document(await cli([...check, '--json'], { cwd }));
  expect(allowed).toMatchObject({ outcome: 'allowed', verified: true });
  expect((allowed.input as { license?: unknown }).license).toBeDefined();
  await cli(['encrypt', 'plain.safetensors', 'other.safetensors', '-k', 'keys.json'], { cwd });
  const other = await cli([...check.with(2, 'other.safetensors'), '--json'], { cwd });
  expect([other.exitCode, errorOf(other).code]).toEqual([3, 'LicenseMismatch']);
});

it('a file to write is named by the last argument or by --output, once, and is no stream', async () => {
  const cwd = await workspace();
  const encrypt = ['encrypt', 'plain.safetensors', '-k', 'keys.json', '--json'];
  for (const words of [[], ['a', '-o', 'b'], ['-o', '-'], ['-']]) {
    const result = await cli([...encrypt, ...words], { cwd });
    expect([words, result.exitCode, errorOf(result).code]).toEqual([words, 2, 'UsageError']);
  }
  expect((await cli([...encrypt, '-o', 'b'], { cwd })).exitCode).toBe(0);
  expect((await cli(['verify', '-', '-k', 'keys.json'], { cwd })).exitCode).toBe(2);
});

it('a flag that is misspelt is told how it is spelt; advice names flags that the command has', async () => {
  const cwd = await workspace();
  expect((await cli(['verify', 'x', '--truts', 'y'], { cwd })).stderr).toContain('Did you mean --trust?');
  const opened = await cli(['verify', 'plain.safetensors', '-k', 'keys.json'], { cwd });
  expect(opened.stderr).toContain('--allow-plain');
  const issue = await cli(['license', 'issue', 'plain.safetensors', 'x', '-k', 'keys.json', '--to', 'public.json'], {
    cwd,
  });
  expect(issue.stderr).not.toMatch(/allow-plain|allowPlain|options\./);
});

it.runIf(process.platform === 'linux')('a result that cannot be written is an error, not a stack trace', async () => {
  const cwd = await encryptedWorkspace();
  symlinkSync('/dev/full', join(cwd, 'full'));
  const full = openSync(join(cwd, 'full'), 'w');
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'inspect', 'model.ct.safetensors'], {
    cwd,
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8',
  });
  closeSync(full);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^error: the result could not be written: .*ENOSPC.* \[FileError\]\n$/);
});

describe('a command line that says what is not heeded', () => {
  it.each([
    [
      ['rewrap', 'x', '--recover', '--new-keys', 'keys.json', '--threads', '1'],
      /--new-keys, --threads would not be heeded/,
    ],
    [['rewrap', 'x', '-n', 'keys.json', '--overrule-policy', '--claims', '{}'], /--claims would not be heeded/],
    [['keygen', '-o', 'n.json', '--recipient', '--enc-kid', 'a'], /--enc-kid would not be heeded with --recipient/],
    [['keygen', '-o', 'n.json', '--kid', 'a'], /--kid would not be heeded without --recipient/],
    [['keygen', '-o', 'n.json', '--public', './n.json'], /name one file/],
    [['license', 'verify', 'x', '--now', '2027-02-30T12:00:00Z'], /--now must be a time/],
  ])('%j is refused', async (args, message) => {
    const { exitCode, stderr } = await cli(args, { cwd: temporaryFolder() });
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(message);
  });
});
