import { existsSync, linkSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { inspectFileSync, loadFileSync } from '#dist/index.js';
import { cli, document, encryptedWorkspace, errorOf, fileOf, readJwks, sampleTensors, workspace } from './harness.js';

function contents(path: string): Record<string, { dtype: string; shape: readonly number[]; hex: string }> {
  return Object.fromEntries(
    [...loadFileSync(path)].map(([name, { dtype, shape, bytes }]) => [
      name,
      { dtype, shape, hex: Buffer.from(bytes).toString('hex') },
    ]),
  );
}

describe('encrypt, verify, decrypt', () => {
  it('gives back the tensors, the metadata and nothing else', async () => {
    const cwd = await encryptedWorkspace();
    const { exitCode, stdout, stderr } = await cli(
      ['decrypt', 'model.ct.safetensors', 'out.safetensors', '-k', 'keys.json'],
      { cwd },
    );
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: 'Wrote out.safetensors: 3 tensors, 8.6 kB, verified and decrypted\n',
    });
    expect(stderr).toBe('warning: out.safetensors is plaintext: whoever can read that file has the model\n');
    expect(contents(join(cwd, 'out.safetensors'))).toEqual(contents(join(cwd, 'plain.safetensors')));
    expect(readFileSync(join(cwd, 'out.safetensors'), 'latin1')).toContain('"__metadata__":{"format":"pt"}');
    expect(readdirSync(cwd).sort()).toEqual([
      'keys.json',
      'model.ct.safetensors',
      'out.safetensors',
      'plain.safetensors',
      'public.json',
    ]);
  });

  it.each([
    ['--format-version', '1'],
    ['--chunk-size', '64'],
    ['--tensors', 'encoder.*', '--integrity', 'blake3'],
    ['--tensors', 'position_ids', '--tensors', '*.bias', '--integrity', 'none', '--threads', '1'],
  ])('round trip with %s %s', async (...options) => {
    const cwd = await encryptedWorkspace(options);
    const { exitCode } = await cli(
      ['decrypt', 'model.ct.safetensors', 'out.safetensors', '-k', 'keys.json', '--threads', '2'],
      { cwd },
    );
    expect(exitCode).toBe(0);
    expect(contents(join(cwd, 'out.safetensors'))).toEqual(contents(join(cwd, 'plain.safetensors')));
  });

  it('says with --json what it did', async () => {
    const cwd = await workspace();
    const [enc, sign] = readJwks(join(cwd, 'keys.json')).keys;
    const encrypted = await cli(
      [
        'encrypt',
        'plain.safetensors',
        'model.ct.safetensors',
        '-k',
        'keys.json',
        '--chunk-size',
        '1KiB',
        '--tensors',
        '*.weight',
        '--json',
      ],
      { cwd },
    );
    expect(document(encrypted)).toEqual({
      source: 'plain.safetensors',
      target: 'model.ct.safetensors',
      bytes: readFileSync(join(cwd, 'model.ct.safetensors')).length,
      tensors: 3,
      encrypted: 1,
      unprotected: 0,
      algorithm: 'aes256gcm',
      formatVersion: 2,
      chunkSize: 1024,
      integrity: 'sha256',
      encKid: enc!.kid,
      signKid: sign!.kid,
    });
    const verified = await cli(['verify', 'model.ct.safetensors', '-k', 'keys.json', '--json'], { cwd });
    expect(fileOf(verified)).toEqual({
      path: 'model.ct.safetensors',
      encrypted: true,
      signers: [sign!.kid],
      pins: [inspectFileSync(join(cwd, 'model.ct.safetensors')).pin],
      tensors: 3,
      bytes: 8576,
      protected: 3,
      unprotected: [],
      files: [],
      unlisted: [],
    });
    const decrypted = await cli(['decrypt', 'model.ct.safetensors', 'out.safetensors', '-k', 'keys.json', '--json'], {
      cwd,
    });
    expect(document(decrypted)).toEqual({
      source: 'model.ct.safetensors',
      target: 'out.safetensors',
      tensors: 3,
      bytes: 8576,
      encrypted: true,
    });
  });

  it('takes keys from the environment, for reading and writing', async () => {
    const cwd = await encryptedWorkspace();
    const env = { CRYPTOTENSOR_KEYS: readFileSync(join(cwd, 'keys.json'), 'utf8') };
    expect((await cli(['verify', 'model.ct.safetensors'], { cwd, env })).exitCode).toBe(0);
    expect((await cli(['decrypt', 'model.ct.safetensors', 'out.safetensors'], { cwd, env })).exitCode).toBe(0);
    expect((await cli(['encrypt', 'plain.safetensors', 'b.safetensors'], { cwd, env })).exitCode).toBe(0);
    const without = await cli(['encrypt', 'plain.safetensors', 'c.safetensors', '--json'], { cwd });
    expect([without.exitCode, errorOf(without).code]).toEqual([3, 'KeyNotFound']);
  });

  it('is silent with --quiet', async () => {
    const cwd = await workspace();
    const silent = { exitCode: 0, stdout: '', stderr: '' };
    const keys = ['--keys', 'keys.json', '--quiet'];
    expect(
      await cli(
        ['encrypt', 'plain.safetensors', 'a.safetensors', '--tensors', '*.bias', '--integrity', 'none', ...keys],
        { cwd },
      ),
    ).toEqual(silent);
    expect(await cli(['verify', 'a.safetensors', ...keys], { cwd })).toEqual(silent);
    expect(await cli(['decrypt', 'a.safetensors', 'b.safetensors', ...keys], { cwd })).toEqual(silent);
    expect((await cli(['verify', 'nothing.safetensors', ...keys], { cwd })).stderr).toContain('[FileError]');
  });
});

describe('a target that exists', () => {
  it('is refused, and left as it is', async () => {
    const cwd = await encryptedWorkspace();
    for (const [command, source] of [
      ['encrypt', 'plain.safetensors'],
      ['decrypt', 'model.ct.safetensors'],
    ] as const) {
      writeFileSync(join(cwd, 'target'), 'precious');
      const result = await cli([command, source, 'target', '-k', 'keys.json', '--json'], { cwd });
      expect(result.exitCode).toBe(1);
      expect(errorOf(result)).toMatchObject({ code: 'FileError', systemCode: 'EEXIST', path: 'target' });
      expect(errorOf(result).message).toContain('--force');
      expect(readFileSync(join(cwd, 'target'), 'utf8')).toBe('precious');
    }
  });

  it('is replaced with --force; by encrypt the source itself too, with a warning', async () => {
    const cwd = await workspace();
    const inPlace = ['plain.safetensors', 'plain.safetensors', '-k', 'keys.json', '--force'];
    const { exitCode, stderr } = await cli(['encrypt', ...inPlace], { cwd });
    expect(exitCode).toBe(0);
    expect(stderr).toContain('warning: plain.safetensors was the plain model itself');
    expect((await cli(['verify', 'plain.safetensors', '-k', 'keys.json'], { cwd })).exitCode).toBe(0);
  });

  it('is not the only encrypted copy: decrypt refuses its source, by whatever name', async () => {
    const cwd = await encryptedWorkspace();
    symlinkSync('model.ct.safetensors', join(cwd, 'link'));
    linkSync(join(cwd, 'model.ct.safetensors'), join(cwd, 'hard'));
    const before = readFileSync(join(cwd, 'model.ct.safetensors'));
    for (const target of ['model.ct.safetensors', './model.ct.safetensors', 'link', 'hard']) {
      const result = await cli(['decrypt', 'model.ct.safetensors', target, '-k', 'keys.json', '-f', '--json'], { cwd });
      expect([target, result.exitCode, errorOf(result).code]).toEqual([target, 2, 'InvalidOption']);
      expect(readFileSync(join(cwd, 'model.ct.safetensors'))).toEqual(before);
    }
  });

  it('says what becomes void when an encrypted body is replaced', async () => {
    const cwd = await encryptedWorkspace();
    const args = ['encrypt', 'plain.safetensors', '-o', 'model.ct.safetensors', '-k', 'keys.json', '--force'];
    expect((await cli(args, { cwd })).stderr).toMatch(/licences .* are void/);
  });

  it('stays when the work fails', async () => {
    const cwd = await encryptedWorkspace();
    writeFileSync(join(cwd, 'target'), 'precious');
    const damaged = readFileSync(join(cwd, 'model.ct.safetensors'));
    damaged[damaged.length - 1]! ^= 1;
    writeFileSync(join(cwd, 'model.ct.safetensors'), damaged);
    const result = await cli(['decrypt', 'model.ct.safetensors', 'target', '-k', 'keys.json', '--force'], { cwd });
    expect(result.exitCode).toBe(1);
    expect(readFileSync(join(cwd, 'target'), 'utf8')).toBe('precious');
    expect(existsSync(join(cwd, 'model.ct.safetensors'))).toBe(true);
    expect(readdirSync(cwd)).toHaveLength(5);
  });
});

describe('verify', () => {
  it('reports what is covered, and by whom', async () => {
    const cwd = await encryptedWorkspace();
    const sign = readJwks(join(cwd, 'public.json')).keys[0]!;
    const { stdout, stderr } = await cli(['verify', 'model.ct.safetensors', '-k', 'keys.json', '--require-protected'], {
      cwd,
    });
    expect(stdout).toBe(
      `model.ct.safetensors: verified, signed by ${sign.kid!}\n  3 of 3 tensors verified, 8.6 kB in all\n  pin ${inspectFileSync(join(cwd, 'model.ct.safetensors')).pin}\n`,
    );
    expect(stderr).toBe('');
  });

  it('warns of tensors that nothing covers, and refuses them with --require-protected', async () => {
    const cwd = await encryptedWorkspace(['--tensors', 'encoder.*', '--integrity', 'none']);
    const args = ['verify', 'model.ct.safetensors', '-k', 'keys.json'];
    const lenient = await cli(args, { cwd });
    expect(lenient.exitCode).toBe(0);
    expect(lenient.stdout).toContain('2 of 3 tensors verified');
    expect(lenient.stderr).toContain('warning: 1 of 3 tensors is covered by neither a tag nor a digest: position_ids');
    const strict = await cli([...args, '--require-protected', '--json'], { cwd });
    expect(strict.exitCode).toBe(1);
    expect(errorOf(strict)).toMatchObject({ code: 'Unprotected', unprotected: ['position_ids'] });
  });

  it('takes its trust from --trust', async () => {
    const cwd = await encryptedWorkspace();
    const { keys } = readJwks(join(cwd, 'keys.json'));
    writeFileSync(join(cwd, 'master-only.json'), JSON.stringify({ keys: keys.filter(({ kty }) => kty === 'oct') }));
    const args = ['verify', 'model.ct.safetensors', '-k', 'master-only.json'];
    expect((await cli(args, { cwd })).exitCode).toBe(3);
    expect((await cli([...args, '--trust', 'public.json'], { cwd })).exitCode).toBe(0);
  });

  it('passes claims, given in place or in a file, to the policy', async () => {
    const cwd = await workspace();
    writeFileSync(
      join(cwd, 'policy.rego'),
      'package model\nimport rego.v1\ndefault allow := false\nallow if input.claims.customer == "acme"\n',
    );
    const made = await cli(
      ['encrypt', 'plain.safetensors', 'a.safetensors', '-k', 'keys.json', '--policy', 'policy.rego'],
      { cwd },
    );
    expect(made.exitCode).toBe(0);
    writeFileSync(join(cwd, 'claims.json'), '{"customer":"acme"}');
    const verify = async (...claims: string[]): Promise<number | null> =>
      (await cli(['verify', 'a.safetensors', '-k', 'keys.json', '--policy-fuel', '100000000', ...claims], { cwd }))
        .exitCode;
    expect(await verify()).toBe(3);
    expect(await verify('--claims', '{"customer":"other"}')).toBe(3);
    expect(await verify('--claims', '{"customer":"acme"}')).toBe(0);
    expect(await verify('--claims', '@claims.json')).toBe(0);
  });

  it('shows the policy the environment variables that are named, within its budget', async () => {
    const cwd = await workspace();
    writeFileSync(join(cwd, 'p.rego'), 'package model\nimport rego.v1\nallow if input.env.SITE == "lab"\n');
    await cli(['encrypt', 'plain.safetensors', 'a.safetensors', '-k', 'keys.json', '--policy', 'p.rego'], { cwd });
    const verify = async (...flags: string[]): Promise<number | null> =>
      (
        await cli(['verify', 'a.safetensors', '-k', 'keys.json', '--policy-fuel', '100000000', ...flags], {
          cwd,
          env: { SITE: 'lab' },
        })
      ).exitCode;
    expect(await verify()).toBe(3);
    expect(await verify('--policy-env', 'SITE')).toBe(0);
  });

  it('checks a sharded model by its index', async () => {
    const cwd = await encryptedWorkspace();
    const weightMap = Object.fromEntries(Object.keys(sampleTensors()).map((name) => [name, 'model.ct.safetensors']));
    writeFileSync(join(cwd, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
    const result = await cli(['verify', 'model.safetensors.index.json', '-k', 'keys.json', '--json'], { cwd });
    expect(fileOf(result)).toMatchObject({ encrypted: true, tensors: 3, protected: 3 });
  });
});
