import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { execPath } from 'node:process';
import { describe, expect, test } from 'vitest';
import { encodeChanges } from '#dist/recovery/journal.js';
import { encodePage, journalOf, newToken } from '#dist/recovery/page.js';
import type { JournalOwner } from '#dist/recovery/page.js';
import { runSync } from '#dist/twin.js';
import { attachHeader, generateKeys, loadFile, recoverFile, rewrapFile } from 'cryptotensors';
import { makeScene } from '../../scripts/crash-test.mjs';
import type { Scene } from '../../scripts/crash-test.mjs';
import { headerOf } from '../support/detach.js';
import { refusal } from '../support/errors.js';
import { GONE, plantJournal } from '../support/planted-journal.js';
import { temporaryFolder } from '../support/temporary.js';

/** What somebody tries who can write beside a file: a journal of his own, or something else under its name. */
const folder = temporaryFolder();
const ELSEWHERE: JournalOwner = { pid: 1, host: `not-${hostname()}`, boot: null, namespace: null, started: null };

/** Overwrites the first part of a file's header with that of another one. */
function tear(path: string, header: Buffer): void {
  const bytes = readFileSync(path);
  header.copy(bytes, 0, 0, header.length >> 3);
  writeFileSync(path, bytes);
}

/** A file whose header is torn, and a journal that offers another header for it. */
async function torn(after: (header: Buffer, scene: Scene) => Promise<Buffer>): Promise<Scene> {
  const scene = await makeScene(folder, 'single');
  const before = Buffer.from(headerOf(readFileSync(scene.path)));
  const offered = await after(Buffer.from(before), scene);
  plantJournal(journalOf(scene.path), {
    owner: ELSEWHERE,
    changes: [{ kind: 'swap', name: 'model.safetensors', before, after: offered }],
  });
  tear(scene.path, offered);
  return scene;
}

/** The header that `keys[1]` would get, of the same length. */
async function rewrapped({ path, keys }: Pick<Scene, 'path' | 'keys'>): Promise<Buffer> {
  const copy = `${path}.rewrapped`;
  await rewrapFile(path, { keys: keys[0], to: { keys: keys[1] }, target: copy });
  const header = Buffer.from(headerOf(readFileSync(copy)));
  unlinkSync(copy);
  return header;
}

/**
 * Runs pieces of work, one after the other, in a process with 4 GiB of addresses, which is killed after 30 seconds: what each says.
 *
 * @param work expressions; `path` and `keys` are at hand
 */
function confined({ path, keys }: Pick<Scene, 'path' | 'keys'>, ...work: string[]): string[] {
  const code = `
    import * as ct from 'cryptotensors';
    const [path, keys] = ${JSON.stringify([path, keys])};
    const options = { keys: keys[0], to: { keys: keys[1] } };
    const say = (...words) => console.log(words.join(' ').replaceAll('\\n', ' '));
    ${work.map((one) => `try { say('done', JSON.stringify(await (${one}) ?? null)); } catch (error) { say(error.code, error.message); }`).join('\n')}
    say('MiB', process.resourceUsage().maxRSS >> 10);`;
  const limited = ['-c', 'ulimit -v 4194304; exec "$0" --input-type=module -e "$1"', execPath, code];
  const run = spawnSync('bash', limited, { encoding: 'utf8', timeout: 30_000, killSignal: 'SIGKILL' });
  return run.signal === null ? run.stdout.trim().split('\n') : [`killed: ${run.signal}`, run.stdout];
}

describe('a journal that an attacker plants', () => {
  test('with a header of his own gains nothing: it is verified like any other', async () => {
    const attacker = generateKeys();
    const scene = await torn(async (header, { path, keys }) => {
      const own = `${path}.attacker`;
      await rewrapFile(path, { keys: keys[0], to: { keys: attacker }, target: own });
      return readFileSync(own).subarray(0, header.length);
    });
    // The old header, which is genuine, still opens it.
    await loadFile(scene.path, { keys: scene.keys[0] });
    await refusal('UntrustedSigner', () => loadFile(scene.path, { keys: scene.keys[1] }));
    await recoverFile(scene.path);
    await refusal('UntrustedSigner', () => loadFile(scene.path, { keys: scene.keys[0] }));
    await refusal('UntrustedSigner', () => loadFile(scene.path, { keys: scene.keys[1] }));
  });

  test('for another file is not used, nor carried out', async () => {
    const scene = await torn((header) => Promise.resolve(header.fill(0x20, 400)));
    const bytes = readFileSync(scene.path);
    bytes[20]! ^= 1;
    writeFileSync(scene.path, bytes);
    await expect(loadFile(scene.path, { keys: scene.keys[0] })).rejects.toMatchObject({ code: /./ });
    await refusal('FileChanged', () => recoverFile(scene.path));
    await refusal('FileBusy', () => rewrapFile(scene.path, { keys: scene.keys[0], to: { keys: scene.keys[1] } }));
    expect(readFileSync(scene.path)).toEqual(bytes);
  });

  test('for what is no header is not carried out: a file that only looks like it is left alone', async () => {
    const scene = await makeScene(folder, 'single');
    const victim = Buffer.from('root:x:0:0:root:/root:/bin/sh\n');
    writeFileSync(scene.path, victim);
    const after = Buffer.from('evil:'.padEnd(victim.length, '!'));
    plantJournal(journalOf(scene.path), {
      owner: GONE,
      changes: [{ kind: 'swap', name: 'model.safetensors', before: victim, after }],
    });
    await refusal('FileChanged', () => recoverFile(scene.path));
    expect(readFileSync(scene.path)).toEqual(victim);
  });

  test('beside a sound file is not looked at', async () => {
    const scene = await makeScene(folder, 'single');
    writeFileSync(journalOf(scene.path), 'x'.repeat(100));
    expect((await loadFile(scene.path, { keys: scene.keys[0] })).size).toBe(2);
    await attachHeader(scene.path, headerOf(readFileSync(scene.path)), scene.path);
    expect((await loadFile(scene.path, { keys: scene.keys[0] })).size).toBe(2);
  });
});

describe.skipIf(process.platform === 'win32')('something else under the name of a journal', () => {
  const WAYS: [string, (path: string) => unknown, RegExp][] = [
    ['a pipe', (path) => spawnSync('mkfifo', [path]), /is a pipe/],
    ['a link to a device without an end', (path) => symlinkSync('/dev/zero', path), /is a symbolic link/],
    ['a link to a file', (path) => symlinkSync(import.meta.filename, path), /is a symbolic link/],
    ['a link that leads nowhere', (path) => symlinkSync('nowhere', path), /is a symbolic link/],
    ['a folder', (path) => mkdirSync(path), /is a folder/],
  ];

  test.each(WAYS)('%s: refused by who writes, passed over by who reads', async (_, put, found) => {
    const scene = await makeScene(folder, 'single');
    const journal = journalOf(scene.path);
    put(journal);
    const before = readFileSync(scene.path);
    const [recovery, rewrapping] = confined(scene, 'ct.recoverFile(path)', 'ct.rewrapFile(path, options)');
    for (const said of [recovery, rewrapping]) {
      expect(said).toMatch(/^FileError/);
      expect(said).toMatch(found);
      expect(said).toContain(basename(journal));
    }
    expect(readFileSync(scene.path)).toEqual(before);
    expect(readdirSync(scene.folder).sort()).toEqual(['model.safetensors', basename(journal)]);
    // A damaged file makes the reader look for a journal.
    before[300]! ^= 1;
    writeFileSync(scene.path, before);
    const said = confined(
      scene,
      'ct.loadFile(path, { keys: keys[0] })',
      'ct.inspectFile(path)',
      'ct.loadFileSync(path)',
    );
    expect(said).toHaveLength(4);
    for (const one of said) expect(one).not.toMatch(/killed|FileError/);
  });

  test.each(WAYS)('%s: under the name of a mark on a shard, or of the whole model’s journal', async (_, put) => {
    for (const name of ['2.safetensors', 'model.safetensors.index.json']) {
      const scene = await makeScene(folder, 'sharded');
      put(journalOf(join(scene.folder, name)));
      const files = readdirSync(scene.folder);
      expect(confined(scene, 'ct.rewrapFile(path, options)')[0]).toMatch(/^FileError/);
      expect(readdirSync(scene.folder)).toEqual(files);
      expect((await loadFile(scene.path, { keys: scene.keys[0] })).size).toBe(6);
    }
  });

  test('a journal of a gigabyte, mostly holes, takes neither time nor memory', { timeout: 120_000 }, async () => {
    const scene = await makeScene(folder, 'single');
    const journal = journalOf(scene.path);
    const damaged = readFileSync(scene.path);
    damaged[300]! ^= 1;
    writeFileSync(scene.path, damaged);
    const page = encodePage({ token: newToken(), owner: GONE, whole: null });
    for (const content of [
      '',
      page,
      // A description that is longer than any, and one that promises headers as long as they can be.
      Buffer.concat([page, Buffer.alloc(8, 0x3f)]),
      journalOfLongHeaders(page),
    ]) {
      writeFileSync(journal, content);
      truncateSync(journal, 2 ** 30);
      const reads = ['ct.loadFile(path, { keys: keys[0] })', 'ct.inspectFile(path)', 'ct.loadFileSync(path)'];
      const said = confined(scene, ...reads, 'ct.recoverFile(path)');
      expect(said).toHaveLength(5);
      expect(said[3]).toMatch(/^(done "undone"|FileChanged)/);
      expect(Number(said[4]!.split(' ')[1])).toBeLessThan(250);
    }
  });
});

/** A journal whose description is valid and speaks of headers of 100 MB, which the file has not. */
function journalOfLongHeaders(page: Uint8Array): Buffer {
  const header = Buffer.alloc(100_000_000);
  header.writeBigUInt64LE(BigInt(header.length - 8));
  const change = { kind: 'swap' as const, name: 'model.safetensors', before: header, after: header };
  const whole = runSync(encodeChanges(page, [change]));
  return Buffer.concat([page, whole.subarray(0, whole.length - 2 * header.length)]);
}

describe('a mark that an attacker plants', () => {
  /** A committed rewrap of a whole model whose process is gone, of which only the first shard is torn. */
  async function interrupted(): Promise<{ whole: Scene; token: string; shard: string }> {
    const whole = await makeScene(folder, 'sharded');
    const shard = join(whole.folder, '1.safetensors');
    const before = Buffer.from(headerOf(readFileSync(shard)));
    const after = await rewrapped({ path: shard, keys: whole.keys });
    const token = newToken();
    plantJournal(journalOf(whole.path), {
      token,
      owner: GONE,
      changes: [{ kind: 'swap', name: '1.safetensors', before, after }],
    });
    plantJournal(journalOf(shard), {
      owner: GONE,
      whole: { token, index: basename(whole.path), folder: whole.folder },
    });
    tear(shard, after);
    return { whole, token, shard };
  }

  test('a shard opens by the journal of the whole model, beside it; only that model is finished by its index', async () => {
    const { whole, shard } = await interrupted();
    const torn = readFileSync(shard);
    expect((await loadFile(shard, { keys: whole.keys[0] })).size).toBe(2);
    expect((await loadFile(shard, { keys: whole.keys[1] })).size).toBe(2);
    // Another model than the one that was asked for is never finished.
    for (const work of [
      () => recoverFile(shard),
      () => rewrapFile(shard, { keys: whole.keys[0], to: { keys: whole.keys[1] } }),
    ]) {
      const error = await refusal('FileBusy', work);
      expect(error.message).toContain('model.safetensors.index.json');
      expect(readFileSync(shard)).toEqual(torn);
    }
    expect(await recoverFile(whole.path)).toBe('finished');
    expect(await recoverFile(shard)).toBe('nothing');
    expect(readdirSync(whole.folder).sort()).toEqual([...whole.files].sort());
    expect((await loadFile(shard, { keys: whole.keys[1] })).size).toBe(2);
  });

  test('that names another folder, or no index: nothing is opened there', async () => {
    const { whole, token } = await interrupted();
    for (const [index, at] of [
      ['model.safetensors.index.json', whole.folder],
      [join('..', basename(whole.folder), 'model.safetensors.index.json'), whole.folder],
      [whole.path, whole.folder],
      ['..', whole.folder],
    ] as const) {
      const victim = await makeScene(folder, 'single');
      const bytes = readFileSync(victim.path);
      plantJournal(journalOf(victim.path), { owner: GONE, whole: { token, index, folder: at } });
      tear(victim.path, Buffer.from(headerOf(readFileSync(join(whole.folder, '1.safetensors')))));
      const torn = readFileSync(victim.path);
      expect(torn).not.toEqual(bytes);
      const script = `
        import { loadFile, recoverFile } from 'cryptotensors';
        for (const work of [loadFile, recoverFile]) await work(${JSON.stringify(victim.path)}).catch(() => undefined);`;
      const options = ['-f', '-e', 'trace=%file', execPath, '--input-type=module', '-e', script];
      const traced = spawnSync('strace', options, { encoding: 'utf8', timeout: 30_000 });
      if (traced.error === undefined) expect(traced.stderr.includes(basename(whole.folder)), index).toBe(false);
      else await loadFile(victim.path).catch(() => undefined);
      expect(readFileSync(victim.path)).toEqual(torn);
    }
  });

  test('a journal for files that are not this model’s own is not carried out', async () => {
    const other = await makeScene(folder, 'single');
    const [before, after] = [Buffer.from(headerOf(readFileSync(other.path))), await rewrapped(other)];
    for (const name of [`../${basename(other.folder)}/model.safetensors`, other.path, '..', '']) {
      const scene = await makeScene(folder, 'single');
      plantJournal(journalOf(scene.path), { owner: GONE, changes: [{ kind: 'swap', name, before, after }] });
      await recoverFile(scene.path).catch(() => undefined);
      expect(Buffer.from(headerOf(readFileSync(other.path)))).toEqual(before);
    }
  });
});
