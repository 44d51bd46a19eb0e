import { readFileSync } from 'node:fs';
import type { KeySet } from '#dist/keys/types.js';
import { algorithmOf } from '#dist/keys/algorithm.js';
import { ringContents } from '#dist/keys/keyring.js';
import { findVerifyingKeys } from '#dist/keys/select.js';
import type { AeadAlgorithm } from '#dist/format/vocabulary.js';
import { describe, expect, test } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { findMasterKey, findSigningKey, findWritingMasterKey } from './look-up.js';
import {
  D_B,
  K128,
  K256,
  K256_OTHER,
  MASTER,
  SIGNER,
  VECTORS,
  X_A,
  X_B,
  base64,
  refusal,
  ringOf,
  vectorFile,
} from './support.js';

const fake = new FakeEngine();
const keysOf = (...jwks: Parameters<typeof ringOf>[1][]): KeySet => ringContents(ringOf(fake.engine, ...jwks));
const EMPTY = keysOf();
const PUBLIC_B = { kty: 'okp', kid: 'b', x: X_B };

describe('the master key of a file', () => {
  const keys = keysOf(
    { kty: 'oct', alg: 'aes128gcm', kid: 'm128', k: K128 },
    { kty: 'oct', kid: 'any', k: K256 },
    { kty: 'oct', alg: 'chacha20poly1305', kid: 'c', k: K256_OTHER },
    { kty: 'oct', alg: 'aes256gcm', kid: '__proto__', k: K256_OTHER },
    { kty: 'oct', alg: 'aes256gcm', k: K256_OTHER },
  );
  const find = (kid: string | null, algorithm: AeadAlgorithm, override?: string): string | null =>
    findMasterKey(keys, { kid, jku: null, algorithm, override }).kid;

  test.each([
    ['m128', 'aes128gcm', 'm128'],
    ['c', 'chacha20poly1305', 'c'],
    ['any', 'aes256gcm', 'any'],
    ['any', 'chacha20poly1305', 'any'],
    ['__proto__', 'aes256gcm', '__proto__'],
    [null, 'aes128gcm', 'm128'],
    [null, 'aes256gcm', 'any'],
  ] as const)('by kid %j for %s is %j', (kid, algorithm, expected) => {
    expect(find(kid, algorithm)).toBe(expected);
  });

  test('is the one that the caller names, whatever the header says', () => {
    expect(find('c', 'aes256gcm', '__proto__')).toBe('__proto__');
    expect(find(null, 'aes256gcm', '__proto__')).toBe('__proto__');
    expect(find('m128', 'aes128gcm', 'm128')).toBe('m128');
  });

  test.each([
    [
      'constructor',
      'aes256gcm',
      undefined,
      'no master key "constructor", which the header names; at hand: "m128", "any"',
    ],
    ['', 'aes256gcm', undefined, 'no master key "", which the header names'],
    ['m128', 'aes128gcm', 'gone', 'no master key "gone", which the options name'],
    [
      'm128',
      'aes256gcm',
      undefined,
      'needs a 32-byte key for aes256gcm, but the master key "m128" at hand is for aes128gcm',
    ],
    [
      'any',
      'aes128gcm',
      undefined,
      'needs a 16-byte key for aes128gcm, but the master key "any" at hand is 32 bytes long',
    ],
    ['c', 'aes256gcm', undefined, 'at hand is for chacha20poly1305'],
  ] as const)('by kid %j for %s and override %j is not there', async (kid, algorithm, override, message) => {
    const error = await refusal('KeyNotFound', () => find(kid, algorithm, override));
    expect(error.message).toContain(message);
    expect(error.kid).toBe(override ?? kid);
  });

  test('is not found among no keys, or among keys that do not fit', async () => {
    const query = { kid: null, jku: null, algorithm: 'aes256gcm' } as const;
    const none = await refusal('KeyNotFound', () => findMasterKey(EMPTY, query));
    expect(none.message).toContain('there is no master key at hand');
    const small = keysOf({ kty: 'oct', kid: 'small', k: K128 });
    const unfit = await refusal('KeyNotFound', () => findMasterKey(small, query));
    expect(unfit.message).toContain('none of those at hand is a 32-byte key for aes256gcm: "small"');
  });

  test('is not named at length where there are many', async () => {
    const many = keysOf(...Array.from({ length: 1000 }, (_, i) => ({ ...MASTER, kid: `key-${i}` })));
    const error = await refusal('KeyNotFound', () =>
      findMasterKey(many, { kid: `\u001b[31m${'x'.repeat(5000)}`, jku: null, algorithm: 'aes256gcm' }),
    );
    expect(error.message).toContain('"key-7", 992 more');
    expect(error.message.length).toBeLessThan(500);
    expect(error.message).not.toContain('\u001b');
  });
});

describe('jku', () => {
  const algorithm = 'aes256gcm';
  const withJku = (jku: string, k: string): Parameters<typeof ringOf>[1] => ({ ...MASTER, jku, k });
  const material = (keys: KeySet, jku: string | null, override?: string): string =>
    base64(fake.exportSecret(findMasterKey(keys, { kid: 'm', jku, algorithm, override }).secret!));

  test('does not matter where the kid says it all', () => {
    const keys = keysOf(withJku('file:///a', K256));
    expect(material(keys, null)).toBe(K256);
    expect(material(keys, 'file:///b')).toBe(K256);
  });

  test('decides between keys that share a kid', () => {
    const keys = keysOf(withJku('a', K256), withJku('b', K256_OTHER));
    expect(material(keys, 'a')).toBe(K256);
    expect(material(keys, 'b')).toBe(K256_OTHER);
    expect(material(keys, 'c')).toBe(K256);
    expect(material(keys, null)).toBe(K256);
  });

  test('of the header says nothing about another key that the caller names', () => {
    const keys = keysOf({ ...MASTER, kid: 'x', jku: 'a', k: K256 }, { ...MASTER, kid: 'x', jku: 'b', k: K256_OTHER });
    expect(material(keys, 'b', 'x')).toBe(K256);
  });

  test('never selects by itself', async () => {
    const keys = keysOf(withJku('a', K256));
    await refusal('KeyNotFound', () => findMasterKey(keys, { kid: 'other', jku: 'a', algorithm }));
  });
});

describe('the keys that verify', () => {
  const trust = keysOf(SIGNER, PUBLIC_B, { kty: 'okp', x: X_A });
  const kids = (kid: string | null, override?: string): (string | null)[] =>
    findVerifyingKeys(trust, { kid, jku: null, override }).map((key) => key.kid);

  test('are those of the kid, or all where there is none', () => {
    expect(kids('b')).toEqual(['b']);
    expect(kids(null)).toEqual(['s', 'b', null]);
    expect(kids('attacker', 'b')).toEqual(['b']);
  });

  test('are all of those that share a kid, to be tried in turn', () => {
    const shared = keysOf(SIGNER, { ...PUBLIC_B, kid: 's' });
    expect(findVerifyingKeys(shared, { kid: 's', jku: null })).toHaveLength(2);
  });

  test('do not include a signer that is not trusted', async () => {
    const error = await refusal('UntrustedSigner', () => kids('attacker'));
    expect(error.message).toContain('"attacker", which the header names, is not trusted; trusted: "s", "b", (no kid)');
    expect(error.kid).toBe('attacker');
    await refusal('UntrustedSigner', () => kids('s', '__proto__'));
    await refusal('UntrustedSigner', () => kids(''));
  });

  test('are nowhere if nothing is trusted', async () => {
    for (const kid of ['s', null]) {
      const error = await refusal('KeyNotFound', () => findVerifyingKeys(EMPTY, { kid, jku: null }));
      expect(error.message).toContain('in options.trust or options.keys');
    }
  });
});

describe('the keys that a writer uses', () => {
  const keys = keysOf(PUBLIC_B, { kty: 'oct', kid: 'small', k: K128 }, MASTER, SIGNER, {
    ...SIGNER,
    kid: 's2',
    x: X_B,
    d: D_B,
  });

  test('are the first that fit', () => {
    expect(findSigningKey(keys).kid).toBe('s');
    expect(findSigningKey(keys, 's2').kid).toBe('s2');
    expect(findWritingMasterKey(keys).kid).toBe('small');
    expect(findWritingMasterKey(keys, { kid: 'm' }).kid).toBe('m');
    expect(findWritingMasterKey(keys, { algorithm: 'aes256gcm' }).kid).toBe('m');
    expect(findWritingMasterKey(keys, { kid: 'small', algorithm: 'aes128gcm' }).kid).toBe('small');
  });

  test('can sign: a public key does not', async () => {
    const error = await refusal('KeyNotFound', () => findSigningKey(keys, 'b'));
    expect(error.message).toContain('the key "b" at hand can verify but not sign');
    const only = keysOf(PUBLIC_B);
    expect((await refusal('KeyNotFound', () => findSigningKey(only))).message).toContain('can verify but not sign');
  });

  test('are not invented where there are none, and the message says how to make them', async () => {
    for (const work of [
      () => findSigningKey(EMPTY),
      () => findSigningKey(keys, 'gone'),
      () => findWritingMasterKey(EMPTY),
      () => findWritingMasterKey(keys, { kid: 'gone' }),
      () => findWritingMasterKey(keys, { kid: 'm', algorithm: 'chacha20poly1305' }),
    ]) {
      const error = await refusal('KeyNotFound', work);
      expect(error.message).toContain('generateKeys() or `cryptotensors keygen`');
    }
  });

  test('say what they are for, or their length does', () => {
    const [small, large] = [keysOf({ kty: 'oct', k: K128 }), keysOf({ kty: 'oct', k: K256 })];
    expect(algorithmOf(small.masterKeys[0]!)).toBe('aes128gcm');
    expect(algorithmOf(large.masterKeys[0]!)).toBe('aes256gcm');
    expect(algorithmOf(keysOf({ ...MASTER, alg: 'C20P' }).masterKeys[0]!)).toBe('chacha20poly1305');
  });
});

test('every valid vector finds the keys that it was written with', () => {
  interface Vector {
    file: string;
    notes?: string;
    keys: { file: string; enc: string | null; sign: string | null } | null;
    expected: Record<'enc' | 'sign', { kid: string | null; jku: string | null }> & { algorithm: AeadAlgorithm };
  }
  const { vectors } = JSON.parse(readFileSync(new URL('vectors.json', VECTORS), 'utf8')) as { vectors: Vector[] };
  let checked = 0;
  for (const { file, keys, expected } of vectors) {
    if (keys === null) continue;
    const set = keysOf(vectorFile(keys.file));
    // One file's kid is in no key set, which the vectors note: its keys are given directly.
    const direct = file === 'keys-unicode-kid.cryptotensors';
    const enc = { ...expected.enc, override: direct ? (keys.enc ?? undefined) : undefined };
    const master = findMasterKey(set, { ...enc, algorithm: expected.algorithm });
    const signers = findVerifyingKeys(set, expected.sign);
    const first = set.masterKeys.find((key) => keys.enc === null || key.kid === keys.enc);
    expect(master, file).toBe(first);
    expect(signers, file).toContain(set.signingKeys.find((key) => keys.sign === null || key.kid === keys.sign));
    checked++;
  }
  expect(checked).toBeGreaterThan(100);
});
