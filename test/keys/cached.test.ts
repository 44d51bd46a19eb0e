import { inspect } from 'node:util';
import type { KeyRing } from '#dist/keys/keyring.js';
import { ringContents } from '#dist/keys/keyring.js';
import { lookUpSigningKey, lookUpVerifyingKeys } from '#dist/keys/lookup.js';
import { lookUpMasterKey } from './look-up.js';
import { cachedKeyProvider } from '#dist/keys/providers/cached.js';
import type { CacheOptions, CachedKeyProvider } from '#dist/keys/providers/cached.js';
import { directKeyProvider } from '#dist/keys/providers/direct.js';
import type { KeyAnswer, KeyProvider, KeySelector } from '#dist/keys/providers/types.js';
import type { MasterKey } from '#dist/keys/types.js';
import { runAsync, runSync } from '#dist/twin.js';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { K128, K256, MASTER, SIGNER, X_A, base64, expectNoMaterial, refusal, ringOf } from './support.js';

let fake: FakeEngine;
let asked: KeySelector[];
beforeEach(() => {
  fake = new FakeEngine();
  asked = [];
});
afterEach(() => {
  vi.useRealTimers();
});

/** A slow vault that knows every kid but those that begin with "unknown". */
const vault: KeyProvider = {
  name: 'vault',
  priority: 60,
  wipeAnswers: true,
  find: async (selector) => {
    asked.push(selector);
    await Promise.resolve();
    return selector.kid?.startsWith('unknown') === true ? null : { key: raw(K256) };
  },
};
const raw = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const cache = (provider: KeyProvider = vault, options: CacheOptions = {}): CachedKeyProvider =>
  cachedKeyProvider(provider, options, fake.engine);
const master = (ring: KeyRing, kid: string, signal?: AbortSignal): Promise<MasterKey> =>
  runAsync(lookUpMasterKey(ring, { kid, jku: null, algorithm: 'aes256gcm' }, { engine: fake.engine, signal }));
const masterSync = (ring: KeyRing, kid: string): MasterKey =>
  runSync(lookUpMasterKey(ring, { kid, jku: null, algorithm: 'aes256gcm' }, { engine: fake.engine }));
const material = ({ secret }: MasterKey): string => base64(fake.exportSecret(secret!));

describe('a cached answer', () => {
  test('is asked for once, and handed out as a copy', async () => {
    const cached = cache();
    const ring = ringOf(fake.engine, cached);
    const keys = [await master(ring, 'a'), await master(ring, 'a'), masterSync(ring, 'a')];
    expect(keys.map(material)).toEqual([K256, K256, K256]);
    expect(asked).toHaveLength(1);
    expect(new Set(keys.map(({ secret }) => secret)).size).toBe(3);
    expect(fake.live.size).toBe(4);
    cached.dispose();
    expect(fake.live.size).toBe(3);
    expect(keys.map(material)).toEqual([K256, K256, K256]);
    ring.dispose();
    expect(fake.live.size).toBe(0);
  });

  test('serves its own question only', async () => {
    const ring = ringOf(fake.engine, cache());
    for (const kid of ['a', 'b', 'a', '__proto__', 'b', '__proto__']) await master(ring, kid);
    expect(asked.map(({ kid }) => kid)).toEqual(['a', 'b', '__proto__']);
    await refusal('KeyNotFound', () =>
      runAsync(lookUpVerifyingKeys(ring, { kid: 'a', jku: null }, { engine: fake.engine })),
    );
    expect(asked.map(({ role }) => role)).toEqual(['master', 'master', 'master', 'verifying']);
  });

  test('is wiped when its time is over, without being asked for', async () => {
    vi.useFakeTimers();
    const ring = ringOf(fake.engine, cache(vault, { ttlMs: 1000 }));
    const key = await master(ring, 'a');
    await vi.advanceTimersByTimeAsync(999);
    await master(ring, 'a');
    expect([asked.length, fake.live.size]).toEqual([1, 3]);
    await vi.advanceTimersByTimeAsync(1);
    expect(fake.live.size).toBe(2);
    expect(material(key)).toBe(K256);
    await master(ring, 'a');
    expect(asked).toHaveLength(2);
  });

  test('is not used after its time where timers come late', async () => {
    const ring = ringOf(fake.engine, cache(vault, { ttlMs: 20 }));
    await master(ring, 'a');
    const until = performance.now() + 25;
    while (performance.now() < until); // Blocks the event loop.
    expect(() => masterSync(ring, 'a')).toThrow('it has no findSync');
  });

  test('that was used least recently makes room, and is wiped', async () => {
    const cached = cache(vault, { maxEntries: 2 });
    const using = async (kid: string): Promise<void> => {
      const ring = ringOf(fake.engine, cached);
      await master(ring, kid);
      ring.dispose();
    };
    for (const kid of ['a', 'b', 'a', 'c', 'a', 'b']) await using(kid);
    expect(asked.map(({ kid }) => kid)).toEqual(['a', 'b', 'c', 'b']);
    await new Promise((resolve) => setImmediate(resolve));
    expect(fake.live.size).toBe(2);
    cached.clear();
    expect(fake.live.size).toBe(0);
    await using('a');
    expect(asked).toHaveLength(5);
  });

  test('is for all who asked while it was under way, however little room there is', async () => {
    const cached = cache(vault, { maxEntries: 1 });
    const kids = Array.from({ length: 40 }, (_, i) => `key-${i % 4}`);
    const keys = await Promise.all(kids.map((kid) => master(ringOf(fake.engine, cached), kid)));
    expect(keys.map(material)).toEqual(kids.map(() => K256));
    expect(asked).toHaveLength(4);
  });

  test('without a key is not kept: kids that a hostile header makes up push nothing out', async () => {
    const cached = cache(vault, { maxEntries: 2 });
    const ring = ringOf(fake.engine, cached);
    await master(ring, 'a');
    for (let i = 0; i < 50; i++) await refusal('KeyNotFound', () => master(ring, `unknown-${i}`));
    await master(ring, 'a');
    expect(asked).toHaveLength(51);
  });

  test('that was a failure is not kept', async () => {
    let down = true;
    const flaky: KeyProvider = {
      name: 'flaky',
      find: () => (down ? Promise.reject(new Error('down')) : Promise.resolve({ key: raw(K256) })),
    };
    const ring = ringOf(fake.engine, cache(flaky));
    await refusal('KeyUnavailable', () => master(ring, 'a'));
    down = false;
    expect(material(await master(ring, 'a'))).toBe(K256);
  });

  test('keeps what was asked for, and wipes the rest', () => {
    const generous: KeyProvider = {
      name: 'generous',
      findSync: () => [MASTER, SIGNER, { kty: 'oct', kid: 'other', k: K128 }],
    };
    const cached = cache(generous);
    const ring = ringOf(fake.engine, cached);
    expect(material(masterSync(ring, 'm'))).toBe(K256);
    expect(fake.live.size).toBe(2);
    const [signer] = runSync(lookUpVerifyingKeys(ring, { kid: 's', jku: null }, { engine: fake.engine }));
    expect([signer!.seed, base64(signer!.publicKey), fake.live.size]).toEqual([null, X_A, 2]);
    expect(runSync(lookUpSigningKey(ring, 's', { engine: fake.engine })).seed).not.toBeNull();
    expect(fake.live.size).toBe(4);
  });

  test('of a ring that others own is copied from it', () => {
    const owner = ringOf(fake.engine, MASTER);
    const ring = ringOf(fake.engine, cache(directKeyProvider(owner)));
    const key = masterSync(ring, 'm');
    expect(key.secret).not.toBe(ringContents(owner).masterKeys[0]!.secret);
    owner.dispose();
    expect(material(key)).toBe(K256);
    expect(material(masterSync(ring, 'm'))).toBe(K256);
  });

  test('keeps the state of its keys', async () => {
    const revoking = cache({ name: 'vault', findSync: () => ({ ...MASTER, state: 'revoked' }) });
    for (let i = 0; i < 2; i++) await refusal('KeyRevoked', () => masterSync(ringOf(fake.engine, revoking), 'm'));
  });
});

test('keys that never leave their store are cached as what they are', async () => {
  const unwrap = (): Promise<never> => Promise.reject(new Error('not used'));
  const hsm: KeyProvider = {
    name: 'hsm',
    find: (selector) => {
      asked.push(selector);
      return { algorithm: 'aes256gcm', unwrap };
    },
  };
  const ring = ringOf(fake.engine, cache(hsm));
  for (let i = 0; i < 2; i++) {
    const { secret, remote } = await master(ring, 'a');
    expect([secret, typeof remote!.unwrap]).toEqual([null, 'function']);
  }
  expect([asked.length, fake.live.size]).toEqual([1, 0]);
});

describe('those who wait for one answer', () => {
  /** Answers when it is told to. */
  function slow(timeoutMs = 10_000) {
    const signals: AbortSignal[] = [];
    let give: (answer: KeyAnswer) => void = () => undefined;
    const provider: KeyProvider = {
      name: 'slow',
      timeoutMs,
      wipeAnswers: true,
      find: (_, { signal }) => {
        signals.push(signal);
        return new Promise((resolve) => (give = resolve));
      },
    };
    return { provider, signals, give: (answer: KeyAnswer) => give(answer) };
  }

  test('do not depend on each other: one can give up', async () => {
    const { provider, signals, give } = slow();
    const cached = cache(provider);
    const controller = new AbortController();
    const first = master(ringOf(fake.engine, cached), 'a', controller.signal);
    const second = master(ringOf(fake.engine, cached), 'a');
    controller.abort();
    await expect(first).rejects.toThrow('aborted');
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    give({ key: raw(K256) });
    expect(material(await second)).toBe(K256);
  });

  test('stop the provider when the last of them gives up; what it gives then is wiped', async () => {
    const { provider, signals, give } = slow();
    const cached = cache(provider);
    const controllers = [new AbortController(), new AbortController()];
    const waits = controllers.map(({ signal }) => master(ringOf(fake.engine, cached), 'a', signal));
    for (const controller of controllers) controller.abort();
    for (const wait of waits) await expect(wait).rejects.toThrow('aborted');
    await vi.waitFor(() => expect(signals[0]!.aborted).toBe(true));
    const late = raw(K256);
    give({ key: late });
    await vi.waitFor(() => expect(late.every((byte) => byte === 0)).toBe(true));
    expect(fake.live.size).toBe(0);
    const again = master(ringOf(fake.engine, cached), 'a');
    await vi.waitFor(() => expect(signals).toHaveLength(2));
    give({ key: raw(K256) });
    expect(material(await again)).toBe(K256);
  });

  test('are told when it is too late, and nobody joins what hangs', async () => {
    const { provider, signals } = slow(40);
    const cached = cache(provider);
    const early = refusal('KeyUnavailable', () => master(ringOf(fake.engine, cached), 'a'));
    expect((await early).message).toContain('no answer within 40 ms');
    await refusal('KeyUnavailable', () => master(ringOf(fake.engine, cached), 'a'));
    expect(signals).toHaveLength(2);
  });

  test('get nothing from a cache that was disposed meanwhile', async () => {
    const { provider, give } = slow();
    const cached = cache(provider);
    const waiting = refusal('KeyUnavailable', () => master(ringOf(fake.engine, cached), 'a'));
    await new Promise((resolve) => setImmediate(resolve));
    cached.dispose();
    give({ key: raw(K256) });
    expect((await waiting).message).toContain('disposed');
    expect(fake.live.size).toBe(0);
    expect((await refusal('KeyUnavailable', () => master(ringOf(fake.engine, cached), 'a'))).message).toContain(
      'the key provider "slow" was disposed',
    );
  });
});

test('a cache has the place, and by default the name, of what is behind it', () => {
  expect(cache()).toMatchObject({ name: 'vault', priority: 60, timeoutMs: 10_000 });
  expect(cache(vault, { name: 'front' }).name).toBe('front');
  expect(cache({ ...vault, isConfigured: () => false }).isConfigured?.()).toBe(false);
});

test('a cache shows its name only', async () => {
  const cached = cache();
  await master(ringOf(fake.engine, cached), 'a');
  expectNoMaterial(cached);
  expect([inspect(cached), cached.toString(), JSON.stringify(cached)]).toEqual([
    'KeyProvider("vault")',
    'KeyProvider("vault")',
    '"KeyProvider(\\"vault\\")"',
  ]);
});

test('arguments are checked', async () => {
  expect(() => cache({ name: 'x' })).toThrow('provider must be a KeyProvider');
  expect(() => cache(vault, { ttl: 5 } as CacheOptions)).toThrow('unknown option "ttl"');
  expect(() => cache(vault, { name: '' })).toThrow('options.name must be a string that is not empty');
  await refusal('InvalidOption', () => cache(vault, { ttlMs: 0 }));
  await refusal('InvalidOption', () => cache(vault, { maxEntries: 0 }));
});
