import { existsSync, lstatSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli, document, errorOf, readJwks, temporaryFolder } from './harness.js';

describe('keygen', () => {
  it('writes a key file that only its owner can read, and says what each file is for', async () => {
    const cwd = temporaryFolder();
    const { exitCode, stdout, stderr } = await cli(['keygen', '-o', 'keys.json', '--public', 'public.json'], { cwd });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(statSync(join(cwd, 'keys.json')).mode & 0o777).toBe(0o600);
    const [enc, sign] = readJwks(join(cwd, 'keys.json')).keys;
    expect(enc).toMatchObject({ kty: 'oct', alg: 'aes256gcm' });
    expect(sign).toMatchObject({ kty: 'okp', alg: 'ed25519' });
    expect(stdout).toContain(enc!.kid!);
    expect(stdout).toContain(sign!.kid!);
    expect(stdout).toMatch(/keys\.json.*\n.*secret/);
    expect(stdout).toMatch(/public\.json/);
  });

  it('leaves private parts out of the public file', async () => {
    const cwd = temporaryFolder();
    await cli(['keygen', '-o', 'keys.json', '--public', 'public.json'], { cwd });
    const signing = readJwks(join(cwd, 'keys.json')).keys.find(({ kty }) => kty === 'okp')!;
    const { d, ...rest } = signing;
    expect(d).toHaveLength(44);
    expect(readJwks(join(cwd, 'public.json')).keys).toEqual([rest]);
  });

  it('takes kids, algorithm and format', async () => {
    const cwd = temporaryFolder();
    const args = [
      'keygen',
      '-o',
      'k.json',
      '--enc-kid',
      'm1',
      '--sign-kid',
      's1',
      '--algorithm',
      'aes128gcm',
      '--format',
      'rfc7517',
    ];
    const result = await cli([...args, '--json'], { cwd });
    expect(document(result)).toEqual({
      keys: 'k.json',
      public: null,
      encKid: 'm1',
      signKid: 's1',
      algorithm: 'aes128gcm',
      format: 'rfc7517',
    });
    const [enc, sign] = readJwks(join(cwd, 'k.json')).keys;
    expect(enc).toMatchObject({ kty: 'oct', kid: 'm1' });
    expect(sign).toMatchObject({ kty: 'OKP', crv: 'Ed25519', kid: 's1' });
    expect(enc!.k).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });

  it('makes other keys each time', async () => {
    const cwd = temporaryFolder();
    await cli(['keygen', '-o', 'a.json'], { cwd });
    await cli(['keygen', '-o', 'b.json'], { cwd });
    const [a, b] = ['a.json', 'b.json'].map((file) => readJwks(join(cwd, file)).keys);
    for (const i of [0, 1]) expect(a![i]!.kid).not.toBe(b![i]!.kid);
    expect(a![0]!.k).not.toBe(b![0]!.k);
    expect(a![1]!.d).not.toBe(b![1]!.d);
  });

  describe('never writes over what is there, and writes both files or neither', () => {
    const refused = { code: 'FileError', systemCode: 'EEXIST' };

    it('a file', async () => {
      const cwd = temporaryFolder();
      writeFileSync(join(cwd, 'keys.json'), 'precious');
      const result = await cli(['keygen', '-o', 'keys.json', '--public', 'public.json', '--json'], { cwd });
      expect(result.exitCode).toBe(1);
      expect(errorOf(result)).toMatchObject({ ...refused, path: 'keys.json' });
      expect(readFileSync(join(cwd, 'keys.json'), 'utf8')).toBe('precious');
      expect(existsSync(join(cwd, 'public.json'))).toBe(false);
    });

    it('the public file', async () => {
      const cwd = temporaryFolder();
      writeFileSync(join(cwd, 'public.json'), 'precious');
      const result = await cli(['keygen', '-o', 'keys.json', '--public', 'public.json', '--json'], { cwd });
      expect(result.exitCode).toBe(1);
      expect(errorOf(result)).toMatchObject({ ...refused, path: 'public.json' });
      expect(readFileSync(join(cwd, 'public.json'), 'utf8')).toBe('precious');
      expect(existsSync(join(cwd, 'keys.json'))).toBe(false);
    });

    it('the target of a symbolic link, even one that leads nowhere', async () => {
      const cwd = temporaryFolder();
      symlinkSync(join(cwd, 'elsewhere.json'), join(cwd, 'keys.json'));
      const result = await cli(['keygen', '-o', 'keys.json', '--json'], { cwd });
      expect(result.exitCode).toBe(1);
      expect(errorOf(result)).toMatchObject(refused);
      expect(lstatSync(join(cwd, 'keys.json')).isSymbolicLink()).toBe(true);
      expect(existsSync(join(cwd, 'elsewhere.json'))).toBe(false);
    });

    it('one path for both', async () => {
      const cwd = temporaryFolder();
      const result = await cli(['keygen', '-o', 'keys.json', '--public', 'keys.json', '--json'], { cwd });
      expect(result.exitCode).toBe(2);
      expect(errorOf(result).code).toBe('UsageError');
      expect(existsSync(join(cwd, 'keys.json'))).toBe(false);
    });

    it('a folder that does not exist', async () => {
      const cwd = temporaryFolder();
      mkdirSync(join(cwd, 'here'));
      const result = await cli(['keygen', '-o', 'here/keys.json', '--public', 'nowhere/public.json', '--json'], {
        cwd,
      });
      expect(result.exitCode).toBe(1);
      expect(errorOf(result)).toMatchObject({ code: 'FileError', systemCode: 'ENOENT', path: 'nowhere/public.json' });
      expect(existsSync(join(cwd, 'here/keys.json'))).toBe(false);
    });
  });
});
