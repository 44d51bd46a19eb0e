import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { AbortError } from '#dist/errors.js';
import { ringContents } from '#dist/keys/keyring.js';
import type { KeyRing } from '#dist/keys/keyring.js';
import { loadKeyRingSync } from '#dist/keys/load.js';
import { lookUpSigningKey, lookUpVerifyingKeys, lookUpWritingMasterKey } from '#dist/keys/lookup.js';
import { lookUpMasterKey } from './look-up.js';
import { directKeyProvider } from '#dist/keys/providers/direct.js';
import { fileKeyProvider } from '#dist/keys/providers/file.js';
import type { KeyAnswer, KeyProvider, KeySelector } from '#dist/keys/providers/types.js';
import type { MasterKey, SigningKey } from '#dist/keys/types.js';
import { runAsync, runSync } from '#dist/twin.js';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { D_A, K128, K256, K256_OTHER, MASTER, SIGNER, X_A, X_B, base64, json, refusal, ringOf } from './support.js';

let fake: FakeEngine;
beforeEach(() => {
  fake = new FakeEngine();
});
afterEach(() => {
  vi.unstubAllEnvs();
});
const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-lookup-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const raw = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const answering = (answer: KeyAnswer, more: Partial<KeyProvider> = {}): KeyProvider => ({
  name: 'vault',
  findSync: () => answer,
  ...more,
});
const QUERY = { kid: 'm', jku: null, algorithm: 'aes256gcm' } as const;
const master = (
  ring: KeyRing,
  query: Parameters<typeof lookUpMasterKey>[1] = QUERY,
  signal?: AbortSignal,
): Promise<MasterKey> => runAsync(lookUpMasterKey(ring, query, { engine: fake.engine, signal }));
const masterSync = (ring: KeyRing): MasterKey => runSync(lookUpMasterKey(ring, QUERY, { engine: fake.engine }));
const verifying = (ring: KeyRing, kid: string | null): Promise<readonly SigningKey[]> =>
  runAsync(lookUpVerifyingKeys(ring, { kid, jku: null }, { engine: fake.engine }));
const material = ({ secret }: MasterKey): string => base64(fake.exportSecret(secret!));

describe('keys at hand', () => {
  test('come first: no provider is asked', async () => {
    const vault: KeyProvider = {
      name: 'vault',
      find: () => expect.fail('asked'),
      findSync: () => expect.fail('asked'),
    };
    const ring = ringOf(fake.engine, vault, MASTER, SIGNER);
    const options = { engine: fake.engine };
    expect(material(await master(ring))).toBe(K256);
    expect(material(masterSync(ring))).toBe(K256);
    expect(await verifying(ring, 's')).toHaveLength(1);
    expect((await runAsync(lookUpSigningKey(ring, undefined, options))).kid).toBe('s');
    expect((await runAsync(lookUpWritingMasterKey(ring, {}, options))).kid).toBe('m');
  });

  test('do not answer once the ring is disposed', async () => {
    const ring = ringOf(fake.engine, MASTER);
    ring.dispose();
    await refusal('Closed', () => master(ring));
    await refusal('Closed', () => verifying(ring, 's'));
  });
});

describe('an answer', () => {
  const forms: [string, KeyAnswer][] = [
    ['a JWK', MASTER],
    ['a JWK set', { keys: [SIGNER, MASTER] }],
    ['JSON text', json({ keys: [SIGNER, MASTER] })],
    ['raw bytes', { key: raw(K256) }],
    ['raw bytes with a name', { key: raw(K256), kid: 'm', algorithm: 'aes256gcm' }],
    ['a list', [{ key: raw(K128), kid: 'm' }, SIGNER, { key: raw(K256_OTHER), kid: 'n' }, MASTER]],
  ];
  test.each(forms)('can be %s; what is not asked for is dropped', async (_, answer) => {
    const ring = ringOf(fake.engine, answering(answer));
    expect(material(await master(ring))).toBe(K256);
    expect(fake.live.size).toBe(1);
    const second = ringOf(fake.engine, answering(answer));
    expect(material(masterSync(second))).toBe(K256);
    ring.dispose();
    second.dispose();
    expect(fake.live.size).toBe(0);
  });

  test('can be a ring, whose keys stay its own', async () => {
    const owner = ringOf(fake.engine, MASTER);
    const ring = ringOf(fake.engine, directKeyProvider(owner));
    expect(material(await master(ring))).toBe(K256);
    ring.dispose();
    expect(material(ringContents(owner).masterKeys[0]!)).toBe(K256);
  });

  const useless: [string, KeyAnswer][] = [
    ['null', null],
    ['undefined', undefined],
    ['an empty list', []],
    ['another kid', { ...MASTER, kid: 'other' }],
    ['a key of another length', { key: raw(K128) }],
    ['a key for another algorithm', { key: raw(K256), algorithm: 'chacha20poly1305' }],
    ['a key for another role', SIGNER],
  ];
  test.each(useless)('of %s is no key', async (_, answer) => {
    const ring = ringOf(fake.engine, answering(answer));
    const error = await refusal('KeyNotFound', () => master(ring));
    expect(error.cause).toBeUndefined();
    expect(fake.live.size).toBe(0);
  });

  const wrong: [string, unknown, string][] = [
    ['a string', K256, 'it failed'],
    ['text that is not JSON', new TextEncoder().encode(K256), 'the answer of key provider "vault" is not well-formed'],
    ['a malformed JWK', { kty: 'oct', k: '?' }, 'the key in the answer of key provider "vault": "k" is not base64'],
    ['raw bytes of a wrong length', { key: new Uint8Array(8) }, '"key" must be 16 or 32 bytes, but is 8'],
    ['raw bytes as a string', { key: K256 }, 'it failed'],
    ['an algorithm that is unknown', { key: raw(K256), algorithm: 'toString' }, '"algorithm" must be one of'],
    ['an object of another kind', { hello: K256 }, 'no member of these is there'],
    ['halves of different keys', { publicKey: raw(X_B), seed: raw(D_A) }, 'halves of different keys'],
    ['a seed of a wrong length', { seed: raw(K128) }, '"seed" must be 32 bytes, but is 16'],
    ['a good key before a bad one', [MASTER, { kty: 'oct' }], '"k" is missing'],
  ];
  test.each(wrong)('that is %s is a failure of the provider', async (_, answer, reason) => {
    const ring = ringOf(fake.engine, answering(answer as KeyAnswer));
    const error = await refusal('KeyUnavailable', () => master(ring));
    expect(error.message).toContain(`The key provider "vault" gave no usable answer: `);
    expect(error.message).toContain(reason);
    expect(error.cause).toBeInstanceOf(Error);
    expect(fake.live.size).toBe(0);
  });

  test('is wiped only if the provider says that it is a copy', async () => {
    for (const wipeAnswers of [true, false, undefined]) {
      const answers = [{ key: raw(K256) }, raw(''), json(MASTER), { publicKey: raw(X_A), seed: raw(D_A) }];
      const ring = ringOf(fake.engine, answering(answers, wipeAnswers === undefined ? {} : { wipeAnswers }));
      await refusal('KeyUnavailable', () => master(ring)); // Empty text is no JSON.
      const bytes = [answers[0], answers[3]].flatMap((answer) => Object.values(answer!) as Uint8Array[]);
      const all = [...bytes, answers[2] as Uint8Array];
      expect(all.map((array) => array.every((byte) => byte === 0))).toEqual(all.map(() => wipeAnswers === true));
    }
  });
});

describe('providers', () => {
  test('are told what is needed', async () => {
    const asked: KeySelector[] = [];
    const spy: KeyProvider = {
      name: 'spy',
      findSync: (selector) => {
        asked.push(selector);
        return null;
      },
    };
    const [ring, options] = [ringOf(fake.engine, spy), { engine: fake.engine }];
    await refusal('KeyNotFound', () => master(ring, { ...QUERY, jku: 'file:///x' }));
    await refusal('KeyNotFound', () => master(ring, { ...QUERY, jku: 'file:///x', override: 'mine' }));
    await refusal('KeyNotFound', () => verifying(ring, null));
    await refusal('KeyNotFound', () => runAsync(lookUpSigningKey(ring, 's', options)));
    await refusal('KeyNotFound', () => runAsync(lookUpWritingMasterKey(ring, {}, options)));
    expect(asked).toEqual([
      { role: 'master', kid: 'm', jku: 'file:///x', algorithm: 'aes256gcm' },
      { role: 'master', kid: 'mine', jku: null, algorithm: 'aes256gcm' },
      { role: 'verifying', kid: null, jku: null, algorithm: null },
      { role: 'signing', kid: 's', jku: null, algorithm: null },
      { role: 'master', kid: null, jku: null, algorithm: null },
    ]);
  });

  test('are asked in order, until one has the key', async () => {
    const asked: string[] = [];
    const named = (name: string, answer: KeyAnswer): KeyProvider => ({
      name,
      find: () => {
        asked.push(name);
        return Promise.resolve(answer);
      },
    });
    const ring = ringOf(
      fake.engine,
      named('a', null),
      named('b', { key: raw(K256) }),
      named('c', { key: raw(K256_OTHER) }),
    );
    expect(material(await master(ring))).toBe(K256);
    expect(asked).toEqual(['a', 'b']);
  });

  test('that fail do not keep the next one from being asked', async () => {
    const broken: KeyProvider = { name: 'broken', find: () => Promise.reject(new Error('down')) };
    expect(material(await master(ringOf(fake.engine, broken, answering(MASTER))))).toBe(K256);
  });

  const failures: [string, () => never, string][] = [
    ['an error', () => { throw new Error(`cannot parse ${K256}`); }, 'it failed'],
    ['an error with a code', () => { throw Object.assign(new Error('no'), { code: 'ECONNREFUSED' }); }, 'it failed with "ECONNREFUSED"'],
    ['a string', () => { throw K256 as unknown as Error; }, 'it failed'],
    ['nothing', () => { throw undefined as unknown as Error; }, 'it failed'],
    ['an abort that nobody asked for', () => { throw new AbortError(); }, 'it failed with "ABORT_ERR"'],
  ]; // prettier-ignore
  test.each(failures)('that throw %s are named in the refusal, in words of this library', async (_, fail, reason) => {
    const provider: KeyProvider = { name: 'broken\n', find: fail, findSync: fail };
    for (const work of [() => master(ringOf(fake.engine, provider)), () => masterSync(ringOf(fake.engine, provider))]) {
      const error = await caught(work);
      expect(error.message).toMatch(
        new RegExp(`The key provider "broken\\\\n" gave no usable answer: ${reason}\\. Pass the right key`),
      );
      expect(error.message).not.toContain(K256.slice(0, 8));
    }
  });

  test('that throw a SyntaxError, which quotes what was parsed, do not get it into the cause', async () => {
    const provider: KeyProvider = { name: 'parser', findSync: () => JSON.parse(`{"k":"${K256}`) as KeyAnswer };
    const error = await refusal('KeyUnavailable', () => master(ringOf(fake.engine, provider)));
    expect(error.cause).toMatchObject({ name: 'SyntaxError', message: expect.stringContaining('not shown') as string });
  });

  test('with no findSync cannot serve the Sync forms, which says so', async () => {
    const ring = ringOf(fake.engine, { name: 'remote', find: () => Promise.resolve(MASTER) });
    const error = await refusal('KeyUnavailable', () => masterSync(ring));
    expect(error.message).toContain('"remote" gave no usable answer: it has no findSync');
    expect(material(await master(ring))).toBe(K256);
  });
});

describe('waiting', () => {
  test('for a provider ends at its deadline, and tells it', async () => {
    let told: unknown;
    const slow: KeyProvider = {
      name: 'slow',
      timeoutMs: 20,
      find: (_, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            told = signal.reason;
            reject(new Error('stopped'));
          });
        }),
    };
    const error = await refusal('KeyUnavailable', () => master(ringOf(fake.engine, slow)));
    expect(error.message).toContain('"slow" gave no usable answer: no answer within 20 ms');
    expect(told).toBe(error.cause);
    expect(material(await master(ringOf(fake.engine, slow, answering(MASTER))))).toBe(K256);
  });

  test('ends after ten seconds by default', async () => {
    vi.useFakeTimers();
    try {
      const stuck: KeyProvider = { name: 'stuck', find: () => new Promise(() => undefined) };
      const waiting = refusal('KeyUnavailable', () => master(ringOf(fake.engine, stuck)));
      await vi.advanceTimersByTimeAsync(9_999);
      expect(vi.getTimerCount()).toBe(1);
      await vi.advanceTimersByTimeAsync(1);
      expect((await waiting).message).toContain('no answer within 10000 ms');
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('wipes an answer that comes too late', async () => {
    const late = raw(K256);
    let answer: ((answer: KeyAnswer) => void) | undefined;
    const slow: KeyProvider = {
      name: 'slow',
      timeoutMs: 5,
      wipeAnswers: true,
      find: () => new Promise((resolve) => (answer = resolve)),
    };
    await refusal('KeyUnavailable', () => master(ringOf(fake.engine, slow)));
    answer!({ key: late });
    await vi.waitFor(() => expect(late.every((byte) => byte === 0)).toBe(true));
  });

  test('ends when the caller aborts, and no other provider is asked', async () => {
    const controller = new AbortController();
    let stopped = false;
    const slow: KeyProvider = {
      name: 'slow',
      find: (_, { signal }) =>
        new Promise(() => {
          signal.addEventListener('abort', () => (stopped = true));
          controller.abort('enough');
        }),
    };
    const next = answering(null, { findSync: () => expect.fail('asked') });
    const error: unknown = await master(ringOf(fake.engine, slow, next), QUERY, controller.signal).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(AbortError);
    expect(error).toMatchObject({ cause: 'enough' });
    expect(stopped).toBe(true);
    const again: unknown = await master(ringOf(fake.engine, next), QUERY, controller.signal).catch((e: unknown) => e);
    expect(again).toBeInstanceOf(AbortError);
  });
});

describe('keys that verify, from providers', () => {
  test('come without their private parts', async () => {
    const ring = ringOf(fake.engine, answering([SIGNER, MASTER]));
    const keys = await verifying(ring, 's');
    expect(keys.map(({ publicKey, seed }) => [base64(publicKey), seed])).toEqual([[X_A, null]]);
    expect(fake.live.size).toBe(0);
  });

  test('are all asked for where the header names none', async () => {
    const ring = ringOf(
      fake.engine,
      SIGNER,
      answering({ publicKey: raw(X_B) }),
      answering({ kty: 'okp', kid: 'c', x: X_B }),
    );
    expect((await verifying(ring, null)).map(({ kid }) => kid)).toEqual(['s', null, 'c']);
  });

  test('survive the wiping of the answer that they came in', async () => {
    const ring = ringOf(fake.engine, answering({ publicKey: raw(X_B) }, { wipeAnswers: true }));
    expect((await verifying(ring, 's')).map(({ publicKey }) => base64(publicKey))).toEqual([X_B]);
  });

  test('are not those of an attacker: a provider that does not know the kid leaves it untrusted', async () => {
    const ring = ringOf(fake.engine, SIGNER, answering({ kty: 'okp', kid: 'c', x: X_B }));
    await refusal('UntrustedSigner', () => verifying(ring, 'attacker'));
    const down = ringOf(fake.engine, SIGNER, { name: 'down', find: () => Promise.reject(new Error('down')) });
    const error = await refusal('KeyUnavailable', () => verifying(down, 'attacker'));
    expect(error.message).toContain('"down" gave no usable answer');
  });
});

describe('keys that write, from providers', () => {
  test('are found by kid, or are the first', async () => {
    const options = { engine: fake.engine };
    const ring = ringOf(fake.engine, { kty: 'okp', kid: 's', x: X_A }, answering([MASTER, SIGNER]));
    const signer = await runAsync(lookUpSigningKey(ring, 's', options));
    expect(signer.seed).not.toBeNull();
    expect((await runAsync(lookUpWritingMasterKey(ring, { algorithm: 'aes256gcm' }, options))).kid).toBe('m');
    ring.dispose();
    expect(fake.live.size).toBe(0);
  });
});

describe('CRYPTOTENSOR_KEYS', () => {
  test('is read when a key is needed', async () => {
    vi.stubEnv('CRYPTOTENSOR_KEYS', JSON.stringify(MASTER));
    const ring = loadKeyRingSync(undefined, fake.engine);
    expect(fake.live.size).toBe(0);
    vi.stubEnv('CRYPTOTENSOR_KEYS', ` ${JSON.stringify({ keys: [SIGNER, { ...MASTER, k: K256_OTHER }] })}\n`);
    expect(material(await master(ring))).toBe(K256_OTHER);
    expect(await verifying(ring, 's')).toHaveLength(1);
    expect(material(masterSync(loadKeyRingSync(undefined, fake.engine)))).toBe(K256_OTHER);
  });

  test('that is not a JWK is named in the refusal, without a word of it', async () => {
    vi.stubEnv('CRYPTOTENSOR_KEYS', K256);
    const error = await refusal('KeyUnavailable', () => master(loadKeyRingSync(undefined, fake.engine)));
    expect(error.message).toContain('the environment variable CRYPTOTENSOR_KEYS must hold the text of keys');
  });
});

describe('the file provider', () => {
  test('reads its files when a key is needed', async () => {
    const [first, second] = [join(folder, 'first.json'), join(folder, 'second.json')];
    writeFileSync(first, json(SIGNER));
    const ring = ringOf(fake.engine, fileKeyProvider([first, pathToFileURL(second)], fake.engine));
    const missing = await refusal('KeyUnavailable', () => master(ring));
    expect(missing.message).toContain('no such file or directory');
    expect(missing.cause).toMatchObject({ code: 'FileError', systemCode: 'ENOENT', path: second });
    writeFileSync(second, json(MASTER));
    expect(material(await master(ring))).toBe(K256);
    expect(material(masterSync(ring))).toBe(K256);
    expect(await verifying(ring, 's')).toHaveLength(1);
  });
});

async function caught(work: () => unknown): Promise<Error> {
  try {
    await work();
  } catch (error) {
    return error as Error;
  }
  expect.fail('expected a refusal');
}
