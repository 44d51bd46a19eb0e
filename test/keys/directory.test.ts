import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { KeyRing } from '#dist/keys/keyring.js';
import { lookUpMasterKey } from './look-up.js';
import { MAX_DIRECTORY_FILES, directoryKeyProvider } from '#dist/keys/providers/directory.js';
import type { MasterKey } from '#dist/keys/types.js';
import { runAsync, runSync } from '#dist/twin.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { K256, K256_OTHER, MASTER, SIGNER, base64, json, refusal, ringOf } from './support.js';

let fake: FakeEngine;
let root: string;
let folder: string;
let ring: KeyRing;
beforeEach(() => {
  fake = new FakeEngine();
  root = mkdtempSync(join(tmpdir(), 'cryptotensors-directory-'));
  folder = join(root, 'keys');
  mkdirSync(folder);
  ring = ringOf(fake.engine, directoryKeyProvider(folder, fake.engine));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (name: string, value: unknown): void => writeFileSync(join(folder, name), json(value));
const QUERY = { kid: 'm', jku: null, algorithm: 'aes256gcm' } as const;

/** The key that both forms find. */
async function found(kid = 'm'): Promise<string> {
  const query = { ...QUERY, kid };
  const keys: MasterKey[] = [
    await runAsync(lookUpMasterKey(ring, query, { engine: fake.engine })),
    runSync(lookUpMasterKey(ring, query, { engine: fake.engine })),
  ];
  const [first, second] = keys.map(({ secret }) => base64(fake.exportSecret(secret!)));
  expect(first).toBe(second);
  return first!;
}

/** What both forms say when there is no key. */
async function notFound(code: 'KeyNotFound' | 'KeyUnavailable' = 'KeyUnavailable'): Promise<string> {
  const query = { ...QUERY, kid: 'm' };
  const messages = [
    await refusal(code, () => runAsync(lookUpMasterKey(ring, query, { engine: fake.engine }))),
    await refusal(code, () => runSync(lookUpMasterKey(ring, query, { engine: fake.engine }))),
  ].map(({ message }) => message);
  expect(messages[0]).toBe(messages[1]);
  expect(fake.live.size).toBe(0);
  return messages[0]!;
}

describe('a folder of keys', () => {
  test('is read anew each time', async () => {
    expect(await notFound('KeyNotFound')).toContain('there is no master key at hand');
    write('a.json', SIGNER);
    write('b.jwk', { keys: [MASTER] });
    expect(await found()).toBe(K256);
    write('b.jwk', { ...MASTER, k: K256_OTHER });
    expect(await found()).toBe(K256_OTHER);
  });

  test('is read in the order of names', async () => {
    write('20.json', MASTER);
    write('10.json', { ...MASTER, k: K256_OTHER });
    expect(await found()).toBe(K256_OTHER);
  });

  test('can be a file: URL, and a link itself', async () => {
    write('m.json', MASTER);
    symlinkSync(folder, join(root, 'link'));
    ring = ringOf(fake.engine, directoryKeyProvider(pathToFileURL(join(root, 'link')), fake.engine));
    expect(await found()).toBe(K256);
  });

  test('holds other things too, which are left out', async () => {
    write('m.json', MASTER);
    write('README.md', 'not a key');
    write('.hidden.json', 'not a key');
    write('keys.json~', 'not a key');
    mkdirSync(join(folder, 'folder.json'));
    expect(await found()).toBe(K256);
  });

  test('works as a mounted Kubernetes secret, and across its change', async () => {
    mkdirSync(join(folder, '..v1'));
    write('..v1/m.json', MASTER);
    symlinkSync('..v1', join(folder, '..data'));
    symlinkSync('..data/m.json', join(folder, 'm.json'));
    expect(await found()).toBe(K256);
    mkdirSync(join(folder, '..v2'));
    write('..v2/m.json', { ...MASTER, k: K256_OTHER });
    symlinkSync('..v2', join(folder, '..new'));
    renameSync(join(folder, '..new'), join(folder, '..data'));
    expect(await found()).toBe(K256_OTHER);
  });
});

describe('what is refused, as a whole:', () => {
  beforeEach(() => write('a.json', MASTER));

  test('a link that leads out', async () => {
    writeFileSync(join(root, 'outside.json'), json(MASTER));
    mkdirSync(join(root, 'keys-2'));
    writeFileSync(join(root, 'keys-2', 'x.json'), json(MASTER));
    for (const target of ['../outside.json', join(root, 'keys-2', 'x.json'), '..', '../keys/..', '/dev/zero']) {
      const link = join(folder, 'z.json');
      symlinkSync(target, link);
      expect(await notFound(), target).toContain('z.json" leads out of the key folder');
      rmSync(link);
    }
  });

  test('a link that leads nowhere, or in a circle', async () => {
    symlinkSync('gone.json', join(folder, 'z.json'));
    expect(await notFound()).toContain('no such file or directory');
    rmSync(join(folder, 'z.json'));
    symlinkSync('z.json', join(folder, 'z.json'));
    expect(await notFound()).toContain('ELOOP');
  });

  test('a file that is no JWK set, naming it', async () => {
    write('b.json', { keys: [{ kty: 'oct', kid: 'bad' }] });
    expect(await notFound()).toContain('b.json": "k" is missing');
  });

  test('a file that is too large', async () => {
    write('b.json', '');
    truncateSync(join(folder, 'b.json'), 2 ** 30);
    expect(await notFound()).toContain('but at most');
  });

  test('more files, or bytes, than keys can be', async () => {
    for (let i = 0; i < MAX_DIRECTORY_FILES; i++) write(`${i}.json`, SIGNER);
    expect(await notFound()).toContain(`holds ${MAX_DIRECTORY_FILES + 1} key files, but at most`);
    for (let i = 0; i < MAX_DIRECTORY_FILES; i++) rmSync(join(folder, `${i}.json`));
    for (let i = 0; i < 5; i++) writeFileSync(join(folder, `${i}.json`), Buffer.alloc(15 * 2 ** 20, ' '));
    expect(await notFound()).toContain('bytes of key files, but at most');
  });

  test('a folder that is not there, or none', async () => {
    ring = ringOf(fake.engine, directoryKeyProvider(join(root, 'missing'), fake.engine));
    expect(await notFound()).toContain('no such file or directory');
    ring = ringOf(fake.engine, directoryKeyProvider(join(folder, 'a.json'), fake.engine));
    expect(await notFound()).toContain('ENOTDIR');
  });
});

test('nothing of a folder that was read in part is left', async () => {
  write('a.json', MASTER);
  write('z.json', '');
  truncateSync(join(folder, 'z.json'), 2 ** 30);
  const wiped: Uint8Array[] = [];
  fake.wipe = (bytes) => void wiped.push(bytes.fill(0));
  await notFound();
  expect(wiped.map(({ length }) => length)).toEqual([json(MASTER).length, json(MASTER).length]);
});

test('arguments are checked', async () => {
  expect(() => directoryKeyProvider(5 as unknown as string, fake.engine)).toThrow('path must be a path');
  await refusal('InvalidOption', () => directoryKeyProvider('', fake.engine));
  await refusal('InvalidOption', () => directoryKeyProvider(new URL('https://localhost/'), fake.engine));
});
