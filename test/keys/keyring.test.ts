import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { KeyRing, hasKeySources, ringContents } from '#dist/keys/keyring.js';
import type { KeysInput } from '#dist/keys/keyring.js';
import { loadKeyRing, loadKeyRingSync } from '#dist/keys/load.js';
import { MAX_KEY_FILE_BYTES } from '#dist/keys/key-file.js';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { K256, K256_OTHER, MASTER, SIGNER, X_B, base64, expectNoMaterial, json, refusal } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-keys-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const write = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};

let fake: FakeEngine;
beforeEach(() => {
  fake = new FakeEngine();
});
/** Loads both ways and sees that they agree. */
async function load(input: KeysInput | undefined): Promise<KeyRing> {
  const ring = await loadKeyRing(input, fake.engine);
  const twin = loadKeyRingSync(input, fake.engine);
  expect(JSON.stringify(twin)).toBe(JSON.stringify(ring));
  twin.dispose();
  return ring;
}
/** Refused both ways, in the same words. */
async function refusedBothWays(code: Parameters<typeof refusal>[0], input: KeysInput): Promise<Error> {
  const error = await refusal(code, () => loadKeyRing(input, fake.engine));
  const twin = await refusal(code, () => loadKeyRingSync(input, fake.engine));
  expect(twin.message).toBe(error.message);
  expect(fake.live.size).toBe(0);
  return error;
}
const SET = { keys: [MASTER, SIGNER] };

describe('takes keys from', () => {
  const path = write('keys.json', json(SET));
  const inputs: [string, KeysInput][] = [
    ['a path', path],
    ['a file: URL', pathToFileURL(path)],
    ['JSON text as bytes', json(SET)],
    ['JSON text in a Buffer', Buffer.from(json(SET))],
    ['a JWK set', SET],
    ['a list of JWKs', [MASTER, SIGNER]],
    ['a list of lists', [[MASTER], [[], [{ keys: [SIGNER] }]]]],
    ['objects without a prototype', Object.assign(Object.create(null) as object, SET)],
  ];
  test.each(inputs)('%s', async (_, input) => {
    const ring = await load(input);
    expect(ring.masterKeys).toEqual([{ kid: 'm', algorithm: 'aes256gcm', state: 'active' }]);
    expect(ring.signingKeys).toEqual([{ kid: 's', algorithm: 'ed25519', hasPrivate: true, state: 'active' }]);
    expect(base64(fake.engine.exportSecret(ringContents(ring).masterKeys[0]!.secret!))).toBe(K256);
    expect(hasKeySources(ring)).toBe(true);
    ring.dispose();
    expect(fake.live.size).toBe(0);
  });

  test('a single JWK', async () => {
    expect((await load(MASTER)).toJSON()).toEqual({
      masterKeys: ['m'],
      signingKeys: [],
      recipientKeys: [],
      providers: [],
    });
  });

  test('a provider, which it does not ask yet', async () => {
    const provider = { name: 'vault', findSync: () => expect.fail('asked too early') };
    const ring = await load([SIGNER, provider]);
    expect(ring.providers).toEqual(['vault']);
    expect(ringContents(ring).providers).toEqual([provider]);
  });

  test('an empty list: no keys, and no providers either', async () => {
    const ring = await load([]);
    expect(hasKeySources(ring)).toBe(false);
  });

  test('a symbolic link to a file, as in mounted secrets', async () => {
    const link = join(folder, 'link.json');
    symlinkSync(path, link);
    expect((await load(link)).masterKeys).toHaveLength(1);
  });

  test('sources that share a kid, in their order', async () => {
    const ring = await load([MASTER, { ...MASTER, k: K256_OTHER }]);
    const keys = ringContents(ring).masterKeys.map(({ secret }) => base64(fake.engine.exportSecret(secret!)));
    expect(keys).toEqual([K256, K256_OTHER]);
  });

  test('an object with members that it only inherits: not from these', async () => {
    const heir = Object.assign(Object.create({ k: K256 }) as object, { kty: 'oct' }) as KeysInput;
    expect((await refusedBothWays('InvalidKey', heir)).message).toContain('"k" is missing');
  });
});

describe('refuses with a TypeError', () => {
  const wrong: [string, unknown, string][] = [
    ['JSON text as a string', JSON.stringify(SET), 'keys looks like JSON text, but a string is taken as a path'],
    ['a JSON array as a string', ' [{}]', 'keys looks like JSON text'],
    ['null', null, 'keys must be a path, a file: URL'],
    ['a number', 7, 'keys must be a path'],
    ['a function', () => SET, 'keys must be a path'],
    ['an empty object', {}, 'keys must be a path'],
    ['a Map', new Map(), 'keys must be a path'],
    ['a hole in a list', [MASTER, undefined], 'keys[1] must be a path'],
    ['a JWK with a number for a key', { kty: 'oct', k: 12 }, 'keys.k must be a string, not number 12'],
    ['a JWK with bytes for a key', { kty: 'oct', k: Buffer.from(K256, 'base64') }, 'keys.k must be a string'],
    ['a set that is not a list', { keys: 'all' }, 'keys.keys must be an array of JWKs'],
    ['a set of strings', [{ keys: [MASTER, K256] }], 'keys[0].keys[1] must be a JWK or JWK set object, not a string'],
    ['a getter', { kty: 'oct', get k() { return K256; } }, 'keys.k must be a plain property, not a getter'], // prettier-ignore
    ['a provider without a name', { findSync: () => null }, 'keys.name must be a string that is not empty'],
  ];
  test.each(wrong)('%s', async (_, input, message) => {
    const words = (error: unknown): void => {
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).message).toContain(message);
      expectNoMaterial(error);
    };
    await loadKeyRing(input as KeysInput, fake.engine).then(() => expect.fail('loaded'), words);
    expect(() => loadKeyRingSync(input as KeysInput, fake.engine)).toThrow(message);
    expect(fake.live.size).toBe(0);
  });

  test.each(['', 'a\0b', new URL('https://example.com/keys.json')])('%s, with InvalidOption', async (input) => {
    await refusedBothWays('InvalidOption', input);
  });
});

describe('of key files, refuses', () => {
  test('one that is not there', async () => {
    const path = join(folder, 'no\nsuch.json');
    const error = await refusedBothWays('FileError', path);
    expect(error).toMatchObject({ systemCode: 'ENOENT', path });
    expect(error.message).toContain('no\\nsuch.json');
  });

  test.skipIf(process.platform === 'win32' || process.getuid?.() === 0)('one that may not be read', async () => {
    const path = join(folder, 'closed.json');
    writeFileSync(path, json(SET), { mode: 0o000 });
    expect(await refusedBothWays('FileError', path)).toMatchObject({ systemCode: 'EACCES', path });
  });

  test('a folder', async () => {
    mkdirSync(join(folder, 'folder.json'));
    expect((await refusedBothWays('FileError', join(folder, 'folder.json'))).message).toMatch(/folder\.json/);
  });

  test.skipIf(process.platform === 'win32')(
    'a pipe with a name, without waiting for somebody to write to it',
    async () => {
      const path = join(folder, 'pipe.json');
      execFileSync('mkfifo', [path]);
      expect((await refusedBothWays('FileError', path)).message).toContain('but is a pipe');
    },
  );

  test.skipIf(process.platform === 'win32')('a device that never ends', async () => {
    expect((await refusedBothWays('FileError', '/dev/zero')).message).toContain('but is a character device');
  });

  test('one that is too large, without reading it', async () => {
    const path = write('large.json', '');
    truncateSync(path, MAX_KEY_FILE_BYTES + 1);
    expect((await refusedBothWays('FileError', path)).message).toContain(`at most ${MAX_KEY_FILE_BYTES}`);
  });

  test('one that is not a JWK set, naming it', async () => {
    const path = write('bad.json', `{"keys":[{"kty":"oct","k":"${K256}"},{"kty":"oct","kid":"b"}]}`);
    const error = await refusedBothWays('InvalidKey', path);
    expect(error).toMatchObject({ path, kid: 'b' });
    expect(error.message).toContain('key 1 (kid "b") in "');
  });

  test('an empty one', async () => {
    expect(await refusedBothWays('InvalidKey', write('empty.json', ''))).toMatchObject({ found: 'an empty file' });
  });

  test('all of a list, if one of it is bad', async () => {
    await refusedBothWays('FileError', [SET, join(folder, 'missing.json')]);
  });
});

test('the bytes of a key file are wiped once they are read', async () => {
  const path = write('wiped.json', json(SET));
  const wiped: Uint8Array[] = [];
  fake.wipe = (bytes) => {
    wiped.push(bytes.fill(0));
  };
  await load(path);
  expect(wiped.map(({ length }) => length)).toEqual([json(SET).length, json(SET).length]);
  expect(wiped.every((bytes) => bytes.every((byte) => byte === 0))).toBe(true);
});

test("the caller's own bytes are left alone", async () => {
  const bytes = json(SET);
  await load(bytes);
  expect(bytes).toEqual(json(SET));
});

describe('a ring', () => {
  test('shows key ids only', async () => {
    const ring = await load([SET, { kty: 'okp', kid: 'b\n\u202e', x: X_B }]);
    expectNoMaterial(ring);
    const text = 'KeyRing (master keys: "m"; signing keys: "s", "b\\n\\u202e"; providers: none)';
    expect(inspect({ ring }, { breakLength: Infinity })).toBe(`{ ring: ${text} }`);
    expect(String(ring)).toBe(text);
    expect(JSON.stringify({ ring })).toBe(
      '{"ring":{"masterKeys":["m"],"signingKeys":["s","b\\n\u202e"],"recipientKeys":[],"providers":[]}}',
    );
    // What structured cloning stumbles over, which must be an enumerable property of its own.
    expect(Object.keys(ring)).toEqual(['notCloneable']);
    expect(Object.getOwnPropertyNames(ring)).toEqual(['notCloneable']);
    expectNoMaterial(ring.masterKeys);
    expectNoMaterial(ring.signingKeys);
    expect(ring.signingKeys[1]!.hasPrivate).toBe(false);
  });

  test('wipes its keys when it is disposed, and refuses to be used again', async () => {
    const ring = await load(SET);
    expect([fake.live.size, ring.disposed]).toEqual([2, false]);
    ring.dispose();
    ring.dispose();
    expect([fake.live.size, ring.disposed]).toEqual([0, true]);
    expect([ring.masterKeys, ring.signingKeys, ring.providers]).toEqual([[], [], []]);
    expect(inspect(ring)).toBe('KeyRing (disposed)');
    await refusal('Closed', () => ringContents(ring));
    await refusal('Closed', () => loadKeyRing(ring, fake.engine));
  });

  test('works with `using`', async () => {
    const ring = await load(SET);
    ring[Symbol.dispose]();
    expect(fake.live.size).toBe(0);
  });

  test('lends its keys to another ring, and stays their owner', async () => {
    const owner = await load(SET);
    const borrower = await load([owner, { ...MASTER, kid: 'own' }]);
    expect(borrower.masterKeys.map(({ kid }) => kid)).toEqual(['m', 'own']);
    expect(fake.live.size).toBe(3);
    borrower.dispose();
    expect(fake.live.size).toBe(2);
    expect(ringContents(owner).masterKeys).toHaveLength(1);
  });

  test('that borrowed keys does not use them after their owner wiped them', async () => {
    const owner = await load(SET);
    const borrower = await load(owner);
    const second = await load(borrower);
    owner.dispose();
    await refusal('Closed', () => ringContents(borrower));
    borrower.dispose();
    await refusal('Closed', () => ringContents(second));
  });

  test('cannot be made otherwise', () => {
    const Constructor = KeyRing as unknown as new (parts: object) => KeyRing;
    expect(() => new Constructor({ masterKeys: [], signingKeys: [], providers: [] })).toThrow('made by loadKeys()');
  });
});
