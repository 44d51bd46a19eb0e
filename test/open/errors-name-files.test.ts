import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as ct from 'cryptotensors';
import type { CryptoTensorsError, OpenOptions } from 'cryptotensors';
import { badFiles, openOptions, vectorPath } from '../conformance/vectors.js';
import type { BadFile } from '../conformance/vectors.js';
import { smallTensors, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

/** Every error about a file names it, in `path` and in the message, whatever was asked for and in both forms. */
const folder = temporaryFolder();
const KEYS = ct.generateKeys();
const RECIPIENT = ct.generateRecipientKeys();

interface Way {
  name: string;
  run: (path: string, options: OpenOptions) => unknown;
}

/** A sound encrypted file, for the other argument of what takes two files. */
const sound = join(folder, 'sound.safetensors');
ct.saveFileSync(smallTensors(), sound, { keys: KEYS });
const out = join(folder, 'out');
const header = join(folder, 'sound.header');
await ct.detachHeader(sound, header);
const license = { keys: KEYS, to: RECIPIENT, id: 'a' };

/** Every public function that takes the path of a model, and every argument that does. */
const WAYS: Way[] = [
  { name: 'safeOpen', run: async (path, options) => (await ct.safeOpen(path, options)).close() },
  { name: 'safeOpenSync', run: (path, options) => ct.safeOpenSync(path, options).close() },
  { name: 'loadFile', run: (path, options) => ct.loadFile(path, options) },
  { name: 'loadFileSync', run: (path, options) => ct.loadFileSync(path, options) },
  { name: 'verifyFile', run: (path, options) => ct.verifyFile(path, options) },
  { name: 'verifyFileSync', run: (path, options) => ct.verifyFileSync(path, options) },
  { name: 'inspectFile', run: (path) => ct.inspectFile(path) },
  { name: 'inspectFileSync', run: (path) => ct.inspectFileSync(path) },
  { name: 'explainPolicy', run: (path) => ct.explainPolicy(path) },
  { name: 'explainPolicySync', run: (path) => ct.explainPolicySync(path) },
  { name: 'encryptFile', run: (path) => ct.encryptFile(path, out, { keys: KEYS }) },
  { name: 'decryptFile', run: (path, options) => ct.decryptFile(path, out, options) },
  { name: 'rewrapFile', run: (path, options) => ct.rewrapFile(path, { ...options, to: { keys: KEYS }, target: out }) },
  { name: 'detachHeader', run: (path) => ct.detachHeader(path, out) },
  { name: 'attachHeader', run: (path) => ct.attachHeader(path, header, out) },
  { name: 'attachHeader, the header', run: (path) => ct.attachHeader(sound, path, out) },
  { name: 'safeOpen, the header', run: (path) => ct.safeOpen(sound, { keys: KEYS, header: path }) },
  { name: 'safeOpen, the licence', run: (path) => ct.safeOpen(sound, { keys: KEYS, license: path }) },
  { name: 'safeOpenSync, the licence', run: (path) => ct.safeOpenSync(sound, { keys: KEYS, license: path }) },
  { name: 'issueLicense', run: (path, { keys = KEYS }) => ct.issueLicense(path, { ...license, keys }) },
  { name: 'openLicenseIssuer', run: (path, { keys = KEYS }) => ct.openLicenseIssuer(path, { keys }) },
  { name: 'inspectLicense', run: (path) => ct.inspectLicense(path) },
  { name: 'verifyLicense', run: (path) => ct.verifyLicense(path, { keys: KEYS }) },
  { name: 'exportLicenseKey', run: (path) => ct.exportLicenseKey(path, { keys: KEYS }) },
];
/** What only looks for files. */
const PLACE_WAYS: Way[] = [
  { name: 'recoverFile', run: (path) => ct.recoverFile(path) },
  { name: 'rewrapFile in place', run: (path) => ct.rewrapFile(path, { keys: KEYS, to: { keys: KEYS } }) },
];

async function failureOf(work: () => unknown): Promise<CryptoTensorsError | null> {
  try {
    await work();
    return null;
  } catch (error) {
    expect(error, String((error as Error).stack)).toBeInstanceOf(ct.CryptoTensorsError);
    return error as CryptoTensorsError;
  }
}

function expectNamed(error: CryptoTensorsError, path: string, way: string): void {
  // Of two files that do not fit each other the message names both.
  if (error.path !== sound || error.code !== 'MetadataIncompleteBuffer') {
    expect({ way, code: error.code, path: error.path }).toEqual({ way, code: error.code, path });
  }
  expect(error.message, way).toContain(basename(path));
}

/** One file for each code that the vectors know, of those that are refused when they are opened. */
function examples(): BadFile[] {
  const found = new Map<string, BadFile>();
  for (const file of badFiles()) {
    if (!('code' in file.expected) || file.stage === 'read' || file.also_acceptable !== undefined) continue;
    if (!found.has(file.expected.code)) found.set(file.expected.code, file);
  }
  return [...found.values()];
}

describe('an error about a file names it', () => {
  test('for each of the bad files', async () => {
    let refused = 0;
    for (const { file, keys } of badFiles()) {
      const path = vectorPath(file);
      for (const way of WAYS.filter(({ name }) => /^(loadFileSync|inspectFileSync)$/.test(name))) {
        const error = await failureOf(() => way.run(path, openOptions(keys)));
        if (error === null) continue;
        expectNamed(error, path, `${way.name} of ${file}`);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(1500);
  });

  test.each(WAYS)('from $name', async ({ name, run }) => {
    const files = examples();
    expect(files.length).toBeGreaterThan(12);
    let refused = 0;
    for (const { file, keys, expected } of files) {
      const path = vectorPath(file);
      const error = await failureOf(() => run(path, openOptions(keys)));
      // What is wrong with keys or options is not about the file.
      if (error === null || /^(InvalidOption|InvalidKey)$/.test(error.code)) continue;
      // The keys that it was to get.
      if (name === 'rewrapFile' && error.code === 'KeyNotFound' && error.path === undefined) continue;
      expectNamed(error, path, `${name} of ${file}, ${JSON.stringify(expected)}`);
      refused++;
    }
    expect(refused).toBeGreaterThan(8);
  });

  test.each(['safeOpen', 'safeOpenSync', 'loadFile', 'verifyFile', 'rewrapFile'])(
    'of an index: the shard that it is about, from %s',
    async (name) => {
      const { run } = WAYS.find((way) => way.name === name)!;
      for (const { file, keys } of examples()) {
        const own = join(folder, `index-${name}-${basename(file)}`);
        mkdirSync(own);
        const [first, second] = ['a.safetensors', 'b.safetensors'].map((part) => join(own, part)) as [string, string];
        // The first one is sound: of the same keys where there are any.
        ct.saveFileSync({ w: { shape: [1], data: new Float32Array(1) } }, first);
        copyFileSync(vectorPath(file), second);
        const index = join(own, 'm.safetensors.index.json');
        writeShardIndex(index, { w: 'a.safetensors', v: 'b.safetensors' });
        const error = await failureOf(() => run(index, { ...openOptions(keys), allowPlain: true }));
        if (error === null || error.path === index) continue;
        expectNamed(error, second, `${name} of ${file}`);
      }
    },
  );

  test('that is open: names and ranges that it has not', async () => {
    using file = ct.safeOpenSync(sound, { keys: KEYS });
    const [name] = file.keys() as [string];
    for (const work of [
      () => file.getTensor('none'),
      () => file.getTensorSync('none'),
      () => file.getSlice('none'),
      () => file.getSlice(name).readSync(...Array.from({ length: 9 }, () => null)),
      () => file.getSlice('mask').read(99),
    ]) {
      expectNamed((await failureOf(work))!, sound, String(work));
    }
  });
});

describe.skipIf(process.platform === 'win32')('a path that cannot be asked about', () => {
  const PATHS: Record<string, { path: string; systemCode: string | undefined }> = {
    'is not there': { path: join(folder, 'none'), systemCode: 'ENOENT' },
    'is too long': { path: join(folder, 'x'.repeat(300)), systemCode: 'ENAMETOOLONG' },
    'is a loop of links': { path: join(folder, 'loop'), systemCode: 'ELOOP' },
    'goes through a file': { path: join(sound, 'part'), systemCode: 'ENOTDIR' },
    'is a folder': { path: join(folder, 'folder'), systemCode: 'EISDIR' },
    'is a pipe': { path: join(folder, 'pipe'), systemCode: undefined },
    'lies in a folder that is closed': { path: join(folder, 'closed', 'file'), systemCode: 'EACCES' },
  };
  symlinkSync('loop', join(folder, 'loop'));
  mkdirSync(join(folder, 'folder'));
  spawnSync('mkfifo', [join(folder, 'pipe')]);
  mkdirSync(join(folder, 'closed'));
  copyFileSync(sound, join(folder, 'closed', 'file'));

  /** Runs work without the privileges of root, for which no folder is closed. */
  async function unprivileged<Result>(work: () => Promise<Result>): Promise<Result> {
    const isRoot = process.geteuid?.() === 0;
    chmodSync(join(folder, 'closed'), 0);
    chmodSync(folder, 0o755);
    if (isRoot) process.seteuid?.(65_534);
    try {
      return await work();
    } finally {
      if (isRoot) process.seteuid?.(0);
      chmodSync(join(folder, 'closed'), 0o700);
    }
  }

  test.each(Object.keys(PATHS))('as it %s: a FileError from every function, in both forms', async (kind) => {
    const { path, systemCode } = PATHS[kind]!;
    await unprivileged(async () => {
      for (const { name, run } of [...WAYS, ...PLACE_WAYS]) {
        const error = await failureOf(() => run(path, { keys: KEYS }));
        // Nothing is wrong with a path that was only looked for.
        if (error === null && name === 'recoverFile') continue;
        const found = { name, code: error?.code, path: error?.path, systemCode: error?.systemCode };
        expect(found).toEqual({ name, code: 'FileError', path, systemCode });
        expect(error!.message).toContain(basename(path).slice(0, 40));
      }
    });
  });

  test('among the shards of an index', async () => {
    const own = join(folder, 'shards');
    mkdirSync(own);
    for (const [kind, { path, systemCode }] of Object.entries(PATHS)) {
      const shard = kind === 'is too long' ? 'y'.repeat(300) : `${kind}.safetensors`;
      if (kind !== 'is too long') symlinkSync(path, join(own, shard));
      const index = join(own, `${kind}.index.json`);
      writeShardIndex(index, { w: shard });
      await unprivileged(async () => {
        for (const { name, run } of WAYS.filter((way) =>
          /^(safeOpen|safeOpenSync|loadFile|verifyFileSync)$/.test(way.name),
        )) {
          const error = await failureOf(() => run(index, { keys: KEYS }));
          const found = { name, code: error?.code, path: error?.path, systemCode: error?.systemCode };
          expect(found, kind).toEqual({ name, code: 'FileError', path: join(own, shard), systemCode });
        }
      });
    }
  });
});

test('what is given as bytes has no path', async () => {
  const error = await failureOf(() => ct.load(readFileSync(sound).subarray(0, 4)));
  expect(error).toMatchObject({ code: 'HeaderTooSmall' });
  expect(error).not.toHaveProperty('path');
  writeFileSync(out, '');
});
