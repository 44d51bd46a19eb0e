import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli, encryptedWorkspace, errorOf, workspace } from './harness.js';

const VERIFY = ['verify', 'model.ct.safetensors', '-k', 'keys.json'];

/** Runs a command that is to fail: its exit code and the code of its error. */
async function refusal(args: readonly string[], cwd: string): Promise<[exitCode: number | null, code: string]> {
  const result = await cli([...args, '--json'], { cwd });
  return [result.exitCode, errorOf(result).code];
}

/** Changes the encrypted file. */
function damage(cwd: string, change: (bytes: Buffer) => Buffer): void {
  const path = join(cwd, 'model.ct.safetensors');
  writeFileSync(path, change(readFileSync(path)));
}

describe('exit code 1: the file was refused, or the work failed', () => {
  it('a changed byte of a tensor', async () => {
    const cwd = await encryptedWorkspace();
    damage(cwd, (bytes) => {
      bytes[bytes.length - 1]! ^= 1;
      return bytes;
    });
    expect(await refusal(VERIFY, cwd)).toEqual([1, 'BadTag']);
  });

  it('a changed header', async () => {
    const cwd = await encryptedWorkspace();
    damage(cwd, (bytes) => Buffer.from(bytes.toString('latin1').replace('"format":"pt"', '"format":"tf"'), 'latin1'));
    expect(await refusal(VERIFY, cwd)).toEqual([1, 'BadSignature']);
  });

  it('a truncated file', async () => {
    const cwd = await encryptedWorkspace();
    damage(cwd, (bytes) => bytes.subarray(0, -1));
    expect(await refusal(VERIFY, cwd)).toEqual([1, 'MetadataIncompleteBuffer']);
  });

  it('a file that is not there', async () => {
    const cwd = await workspace();
    for (const args of [
      ['inspect', 'none'],
      ['verify', 'none', '-k', 'keys.json'],
      ['encrypt', 'none', 'x', '-k', 'keys.json'],
    ]) {
      expect(await refusal(args, cwd)).toEqual([1, 'FileError']);
    }
  });

  it('a key file or a policy file that is not there', async () => {
    const cwd = await encryptedWorkspace();
    expect(await refusal(['verify', 'model.ct.safetensors', '-k', 'none.json'], cwd)).toEqual([1, 'FileError']);
    expect(
      await refusal(['encrypt', 'plain.safetensors', 'x', '-k', 'keys.json', '--policy', 'none.rego'], cwd),
    ).toEqual([1, 'FileError']);
  });
});

describe('exit code 2: the command line is wrong', () => {
  it('patterns that match no tensor', async () => {
    const cwd = await workspace();
    const args = ['encrypt', 'plain.safetensors', 'x', '-k', 'keys.json', '--tensors', 'decoder.*'];
    expect(await refusal(args, cwd)).toEqual([2, 'InvalidOption']);
  });

  it('a file that is encrypted already', async () => {
    const cwd = await encryptedWorkspace();
    expect(await refusal(['encrypt', 'model.ct.safetensors', 'x', '-k', 'keys.json'], cwd)).toEqual([
      2,
      'InvalidOption',
    ]);
  });
});

describe('exit code 3: no key, no trust, no permission', () => {
  it('no keys at all', async () => {
    const cwd = await encryptedWorkspace();
    expect(await refusal(['verify', 'model.ct.safetensors'], cwd)).toEqual([3, 'KeyNotFound']);
  });

  it("somebody else's keys", async () => {
    const cwd = await encryptedWorkspace();
    await cli(['keygen', '-o', 'other.json'], { cwd });
    expect(await refusal(['verify', 'model.ct.safetensors', '-k', 'other.json'], cwd)).toEqual([3, 'UntrustedSigner']);
    expect(
      await refusal(['verify', 'model.ct.safetensors', '-k', 'other.json', '--trust', 'public.json'], cwd),
    ).toEqual([3, 'KeyNotFound']);
  });

  it('a key file that is none', async () => {
    const cwd = await encryptedWorkspace();
    writeFileSync(join(cwd, 'bad.json'), '{"keys":[{"kty":"oct","k":"!"}]}');
    expect(await refusal(['verify', 'model.ct.safetensors', '-k', 'bad.json'], cwd)).toEqual([3, 'InvalidKey']);
  });

  it('public keys, for encrypting', async () => {
    const cwd = await workspace();
    expect(await refusal(['encrypt', 'plain.safetensors', 'x', '-k', 'public.json'], cwd)).toEqual([3, 'KeyNotFound']);
  });

  it.each([
    ['package model\nallow = false\n', 'PolicyDenied'],
    ['package model\nallow if 1/0 == 1\n', 'PolicyError'],
  ])('the policy %j', async (policy, code) => {
    const cwd = await workspace();
    writeFileSync(join(cwd, 'p.rego'), policy);
    await cli(['encrypt', 'plain.safetensors', 'model.ct.safetensors', '-k', 'keys.json', '--policy', 'p.rego'], {
      cwd,
    });
    expect(await refusal(VERIFY, cwd)).toEqual([3, code]);
  });

  it('a policy with a syntax error, before anything is encrypted', async () => {
    const cwd = await workspace();
    writeFileSync(join(cwd, 'p.rego'), 'package model\nallow = {{\n');
    const encrypt = ['encrypt', 'plain.safetensors', 'x', '-k', 'keys.json', '--policy', 'p.rego'];
    expect(await refusal(encrypt, cwd)).toEqual([3, 'PolicyError']);
    expect(existsSync(join(cwd, 'x'))).toBe(false);
  });

  it('a plain file, with and without keys, unless it is allowed by name', async () => {
    const cwd = await workspace();
    for (const keys of [[], ['-k', 'keys.json']]) {
      expect(await refusal(['verify', 'plain.safetensors', ...keys], cwd)).toEqual([3, 'NotEncrypted']);
      expect(await refusal(['decrypt', 'plain.safetensors', 'x', ...keys], cwd)).toEqual([3, 'NotEncrypted']);
    }
    const allowed = await cli(['verify', 'plain.safetensors', '-k', 'keys.json', '--allow-plain'], { cwd });
    expect(allowed.exitCode).toBe(0);
    expect(allowed.stdout).toContain('a plain file; its structure is sound, nothing else could be checked');
    expect(allowed.stdout).toContain('0 of 3 tensors verified');
    expect((await cli(['decrypt', 'plain.safetensors', 'x', '--allow-plain'], { cwd })).exitCode).toBe(0);
  });
});

describe('a failure as text', () => {
  it('is one line on standard error that ends with its code, without a stack trace', async () => {
    const cwd = await workspace();
    const { stdout, stderr } = await cli(['verify', 'plain.safetensors', '-k', 'keys.json'], { cwd });
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      /^error: "plain\.safetensors" is neither encrypted nor signed.*--allow-plain \[NotEncrypted\]\n$/,
    );
  });

  it('has a stack trace with CRYPTOTENSORS_DEBUG', async () => {
    const cwd = await workspace();
    const { stderr } = await cli(['verify', 'plain.safetensors', '-k', 'keys.json'], {
      cwd,
      env: { CRYPTOTENSORS_DEBUG: '1' },
    });
    expect(stderr).toMatch(/\n {4}at /);
  });

  it('cannot be used to steer the terminal', async () => {
    const cwd = await workspace();
    const { stderr } = await cli(['verify', './bad\u001b[2Jname', '-k', 'keys.json'], { cwd });
    expect(stderr).toContain('[FileError]');
    expect(stderr).not.toContain('\u001b');
  });
});
