import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cli, document, encryptedWorkspace, errorOf, fileOf, readJwks } from './harness.js';

/** A vendor's folder with a model, and acme's keys in it. */
async function market(): Promise<string> {
  const cwd = await encryptedWorkspace();
  const made = await cli(['keygen', '--recipient', '-o', 'acme.json', '--public', 'acme-public.json'], { cwd });
  expect(made).toMatchObject({ exitCode: 0, stderr: '' });
  return cwd;
}

const ISSUE = [
  'license',
  'issue',
  'model.ct.safetensors',
  'acme.license',
  '--keys',
  'keys.json',
  '--to',
  'acme-public.json',
];
const OPEN = ['model.ct.safetensors', '--license', 'acme.license', '--keys', 'acme.json', '--trust', 'public.json'];

describe('keygen --recipient', () => {
  it('writes the private key for its owner alone, and the public part', async () => {
    const cwd = await market();
    expect(statSync(join(cwd, 'acme.json')).mode & 0o777).toBe(0o600);
    const [secret] = readJwks(join(cwd, 'acme.json')).keys;
    const { d, ...half } = secret!;
    expect(d).toHaveLength(43);
    expect(readJwks(join(cwd, 'acme-public.json')).keys).toEqual([half]);
    const again = await cli(['keygen', '--recipient', '-o', 'acme.json', '--json'], { cwd });
    expect([again.exitCode, errorOf(again).code]).toEqual([1, 'FileError']);
    const ec = await cli(['keygen', '--recipient', '-o', 'ec.json', '--curve', 'P-256', '--kid', 'hsm', '--json'], {
      cwd,
    });
    expect(document(ec)).toEqual({ keys: 'ec.json', public: null, recipientKid: 'hsm', curve: 'P-256' });
    expect(ec.stdout).not.toContain(readJwks(join(cwd, 'ec.json')).keys[0]!.d!.slice(0, 10));
  });
});

describe('a licence from the shell', () => {
  it('is issued, shown, verified, and opens the model', async () => {
    const cwd = await market();
    const options = ['--expires', '30d', '--claims', '{"seats":5}', '--id', 'L-1'];
    const issued = await cli([...ISSUE, ...options], { cwd });
    expect(issued).toMatchObject({ exitCode: 0, stderr: '' });
    expect(issued.stdout).toMatch(
      /^Wrote acme.license: licence L-1, [\d.]+ kB\n {2}issued .*\n {2}expires .*\n {2}opens model/,
    );

    const shown = await cli(['license', 'show', 'acme.license'], { cwd });
    expect(shown.stdout).toContain('UNVERIFIED');
    expect(shown.stdout).toContain('claims        {"seats":5}');
    const facts = fileOf(await cli(['license', 'show', 'acme.license', '--json'], { cwd }));
    expect(facts).toMatchObject({ verified: false, id: 'L-1', claims: { seats: 5 }, notBefore: null });

    const verified = await cli(
      ['license', 'verify', 'acme.license', '--trust', 'public.json', '--body', 'model.ct.safetensors'],
      { cwd },
    );
    expect(verified).toMatchObject({ exitCode: 0, stderr: '' });
    expect(verified.stdout).toContain('that is model.ct.safetensors');
    expect(await cli(['verify', ...OPEN], { cwd })).toMatchObject({ exitCode: 0 });
    const decrypted = await cli(['decrypt', OPEN[0]!, 'plain.out', ...OPEN.slice(1), '--quiet'], { cwd });
    expect(decrypted).toMatchObject({ exitCode: 0, stdout: '', stderr: '' });
    for (const { stdout } of [issued, shown, verified]) {
      for (const { k, d } of [...readJwks(join(cwd, 'keys.json')).keys, ...readJwks(join(cwd, 'acme.json')).keys]) {
        expect(stdout).not.toContain((k ?? d)!.slice(0, 10));
      }
    }
  });

  it('gives its key to the customer alone, in a file of theirs', async () => {
    const cwd = await market();
    await cli([...ISSUE, '--quiet'], { cwd });
    const key = ['license', 'export-key', 'acme.license', '-o', 'model-key.json', '--trust', 'public.json'];
    const other = await cli([...key, '--keys', 'acme-public.json', '--json'], { cwd });
    expect([other.exitCode, errorOf(other).code]).toEqual([3, 'KeyNotFound']);
    const done = await cli([...key, '--keys', 'acme.json'], { cwd });
    expect(done).toMatchObject({ exitCode: 0, stderr: '' });
    expect(statSync(join(cwd, 'model-key.json')).mode & 0o777).toBe(0o600);
    expect(done.stdout).not.toContain(readJwks(join(cwd, 'model-key.json')).keys[0]!.k!.slice(0, 10));
    const attached = ['header', 'attach', 'model.ct.safetensors', 'acme.license', 'whole.safetensors', '--quiet'];
    expect(await cli(attached, { cwd })).toMatchObject({ exitCode: 0, stderr: '' });
    for (const keys of ['acme.json', 'model-key.json']) {
      expect(await cli(['verify', 'whole.safetensors', '-k', keys, '--trust', 'public.json'], { cwd })).toMatchObject({
        exitCode: 0,
      });
    }
  });

  it('is refused by exit code: for want of permission 3, as no licence 1', async () => {
    const cwd = await market();
    await cli([...ISSUE, '--not-before', '2d', '--quiet'], { cwd });
    const early = await cli(['verify', ...OPEN, '--json'], { cwd });
    expect([early.exitCode, errorOf(early).code]).toEqual([3, 'LicenseNotYetValid']);
    writeFileSync(join(cwd, 'acme.license'), readFileSync(join(cwd, 'keys.json')));
    const none = await cli(['license', 'show', 'acme.license', '--json'], { cwd });
    expect([none.exitCode, errorOf(none).code]).toEqual([1, 'InvalidLicense']);
    for (const command of ['show', 'verify']) {
      const model = await cli(
        ['license', command, 'model.ct.safetensors', '--trust', 'public.json', '--json'].filter(
          (word) => command === 'verify' || !/trust|public/.test(word),
        ),
        { cwd },
      );
      expect([model.exitCode, errorOf(model).code]).toEqual([1, 'InvalidLicense']);
      expect(errorOf(model).message).toMatch(/^"model\.ct\.safetensors" is not a licence.*as a model file does/);
    }
    const kept = await cli([...ISSUE, '--json'], { cwd });
    expect([kept.exitCode, errorOf(kept).systemCode]).toEqual([1, 'EEXIST']);
    expect(await cli([...ISSUE, '--force', '--quiet'], { cwd })).toMatchObject({ exitCode: 0 });
  });

  it('is not issued to a key that stands where its file belongs', async () => {
    const cwd = await market();
    const key = readFileSync(join(cwd, 'acme-public.json'), 'utf8').trim();
    for (const word of [key, (JSON.parse(key) as { keys: { x: string }[] }).keys[0]!.x]) {
      const result = await cli([...ISSUE.slice(0, -1), word], { cwd });
      expect(result).toMatchObject({
        exitCode: 2,
        stderr: expect.stringMatching(/stands where a path belongs/) as string,
      });
      expect(result.stderr).not.toContain(word);
      expect(result.stderr).not.toMatch(/TextEncoder|parsed object/);
    }
  });

  it.each(['2027-02-30', '30', 'tomorrow', '2027-01-01T00:00:00+01:00'])('is not issued until %j', async (time) => {
    const result = await cli([...ISSUE, '--expires', time, '--json'], { cwd: '/' });
    expect([result.exitCode, errorOf(result).code]).toEqual([2, 'UsageError']);
  });
});
