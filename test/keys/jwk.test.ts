import { readdirSync } from 'node:fs';
import { CryptoTensorsError } from '#dist/errors.js';
import { parseJwks } from '#dist/keys/jwk.js';
import type { KeySet } from '#dist/keys/types.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { BAD_DOCUMENTS, BAD_JWKS } from './jwk-cases.js';
import { FakeEngine } from './fake-engine.js';
import { D_A, D_B, K128, K256, K256_OTHER, MASTER, SIGNER, VECTORS, X_A, X_B } from './support.js';
import { base64, expectNoMaterial, json, refusal, utf8, vectorFile } from './support.js';

let fake: FakeEngine;
beforeEach(() => {
  fake = new FakeEngine();
});
const parse = (text: Uint8Array, where = 'the keys option'): KeySet => parseJwks(text, fake.engine, { where });
const exported = (keys: KeySet): string[] => [
  ...keys.masterKeys.map(({ secret }) => base64(fake.engine.exportSecret(secret!))),
  ...keys.signingKeys.map(({ publicKey }) => base64(publicKey)),
];

describe('the key files of the vectors', () => {
  const files = readdirSync(VECTORS).filter((name) => /^keys.*\.json$/.test(name));
  const reference = ['enc-128', 'enc-256', 'enc-chacha', 'enc-128-next', 'enc-256-next', 'enc-chacha-next'];

  test('are all there', () => {
    expect(files).toHaveLength(9);
  });

  test.each(files)('%s', (name) => {
    const text = vectorFile(name);
    const document = JSON.parse(Buffer.from(text).toString()) as { keys: Record<string, string | undefined>[] };
    const keys = parse(text);
    const octs = document.keys.filter(({ kty }) => kty === 'oct');
    const okps = document.keys.filter(({ kty }) => kty !== 'oct');
    expect(keys.masterKeys.map(({ kid, algorithm }) => [kid, algorithm])).toEqual(
      octs.map(({ kid, alg }) => [kid, alg]),
    );
    expect(keys.signingKeys.map(({ kid, seed }) => [kid, seed !== null])).toEqual(
      okps.map(({ kid, d }) => [kid, d !== undefined]),
    );
    const bytes = (text = ''): string => Buffer.from(text, 'base64').toString('base64');
    expect(exported(keys)).toEqual([...octs.map(({ k }) => bytes(k)), ...okps.map(({ x }) => bytes(x))]);
  });

  test('in the form of RFC 7517 are the same keys', () => {
    const [ours, theirs] = [parse(vectorFile('keys.json')), parse(vectorFile('keys-rfc7517.json'))];
    expect(exported(theirs)).toEqual(exported(ours));
    expect(ours.masterKeys.map(({ kid }) => kid)).toEqual(reference);
  });
});

describe('accepts', () => {
  const k16 = { kty: 'oct', k: K128 };
  const k32 = { kty: 'oct', k: K256 };
  test.each([
    ['alg as the reference writes it', { ...k32, alg: 'aes256gcm' }, 'aes256gcm'],
    ['alg with dashes and capitals', { ...k32, alg: 'AES-256-GCM' }, 'aes256gcm'],
    ['alg of RFC 7518', { ...k32, alg: 'A256GCM' }, 'aes256gcm'],
    ['alg of RFC 7518, 128 bits', { ...k16, alg: 'A128GCM' }, 'aes128gcm'],
    ['alg of the ChaCha20 draft', { ...k32, alg: 'C20P' }, 'chacha20poly1305'],
    ['alg with inner dashes', { ...k32, alg: 'ChaCha20-Poly1305' }, 'chacha20poly1305'],
    ['no alg, 16 bytes', k16, null],
    ['no alg, 32 bytes', k32, null],
    ['a null alg', { ...k32, alg: null }, null],
    ['members that mean nothing here', { ...k32, use: 'enc', key_ops: ['decrypt'], ext: true, n: -1.5e300 }, null],
    ['URL-safe base64', { ...k32, k: K256.replaceAll('+', '-') }, null],
    ['base64 without padding', { ...k16, k: K128.replaceAll('=', '') }, null],
  ])('a master key: %s', (_, jwk, algorithm) => {
    const { masterKeys, signingKeys } = parse(json(jwk));
    expect(signingKeys).toEqual([]);
    expect(masterKeys).toMatchObject([{ kid: null, jku: null, algorithm }]);
    expect([K128, K256]).toContain(base64(fake.engine.exportSecret(masterKeys[0]!.secret!)));
  });

  test.each([
    ['as the reference writes it', SIGNER, true],
    ['the public half', { kty: 'okp', alg: 'ed25519', x: X_A }, false],
    ['kty and crv of RFC 8037', { kty: 'OKP', crv: 'Ed25519', x: X_A, d: D_A }, true],
    ['alg EdDSA', { kty: 'OKP', alg: 'EdDSA', x: X_A }, false],
    ['alg Ed25519', { kty: 'OKP', alg: 'Ed25519', x: X_A }, false],
    ['alg in capitals', { kty: 'okp', alg: 'ED25519', x: X_A }, false],
    ['d alone: x is derived', { kty: 'okp', d: D_A }, true],
    ['a null d', { kty: 'okp', x: X_A, d: null }, false],
  ])('a signing key: %s', (_, jwk, canSign) => {
    const { masterKeys, signingKeys } = parse(json(jwk));
    expect(masterKeys).toEqual([]);
    expect(signingKeys.map((key) => [base64(key.publicKey), key.seed !== null])).toEqual([[X_A, canSign]]);
    expect(fake.live.size).toBe(canSign ? 1 : 0);
  });

  test.each(['__proto__', 'constructor', 'toString', '', '0', '\u0000', '😀', 'a"b\\c'])('the kid %j', (kid) => {
    const keys = parse(
      json({
        keys: [
          { ...MASTER, kid, jku: 'file:///x' },
          { ...SIGNER, kid },
        ],
      }),
    );
    expect(keys.masterKeys[0]).toMatchObject({ kid, jku: 'file:///x' });
    expect(keys.signingKeys[0]).toMatchObject({ kid, jku: null });
  });

  test('an empty set, and keys without a kid side by side', () => {
    expect(parse(json({ keys: [] }))).toEqual({ masterKeys: [], signingKeys: [], recipientKeys: [] });
    const two = parse(
      json({
        keys: [
          { kty: 'oct', k: K256 },
          { kty: 'oct', k: K256_OTHER },
        ],
      }),
    );
    expect(exported(two)).toEqual([K256, K256_OTHER]);
  });

  test('the base64 escapes that other JSON writers produce', () => {
    // PHP writes "\/", .NET "\u002B": without this, a third of the keys that they write would be refused.
    const k = K256.replaceAll('+', '\\u002B');
    const x = X_B.replaceAll('/', '\\/').replaceAll('=', '\\u003d');
    const text = `{"keys":[{"kty":"oct","kid":"\\u00e4\\"\\\\\\/","k":"${k}"},{"kty":"okp","x":"${x}"}]}`;
    const keys = parse(utf8(text));
    expect(exported(keys)).toEqual([K256, X_B]);
    expect(keys.masterKeys[0]!.kid).toBe('ä"\\/');
  });

  test('keys of other kinds in a set, by leaving them out', () => {
    const rsa = { kty: 'RSA', n: 'AQAB', e: 'AQAB', d: 'AQAB', kid: 'm' };
    const ec = { kty: 'EC', crv: 'P-256', alg: 'ES256', x: X_A, y: X_B, kid: 's' };
    const keys = parse(json({ keys: [rsa, MASTER, ec, { kty: 'AKP', pub: 'AA' }, SIGNER] }));
    expect(exported(keys)).toEqual([K256, X_A]);
  });

  test('the same key twice, counting it once', () => {
    const keys = parse(json({ keys: [MASTER, SIGNER, MASTER, SIGNER] }));
    expect(exported(keys)).toEqual([K256, X_A]);
    expect(fake.live.size).toBe(2);
  });

  test('both a public half and the whole key, keeping the whole', () => {
    const half = { kty: 'okp', kid: 's', x: X_A };
    for (const order of [
      [half, SIGNER],
      [SIGNER, half],
    ]) {
      const { signingKeys } = parse(json({ keys: order }));
      expect(signingKeys.map(({ seed }) => seed !== null)).toEqual([true]);
    }
  });

  test('one kid for two keys that their jku tells apart', () => {
    const keys = parse(
      json({
        keys: [
          { ...MASTER, jku: 'a' },
          { ...MASTER, jku: 'b', k: K256_OTHER },
        ],
      }),
    );
    expect(keys.masterKeys.map(({ kid, jku }) => [kid, jku])).toEqual([['m', 'a'], ['m', 'b']]); // prettier-ignore
  });

  test('one kid for a master key and a signing key', () => {
    expect(exported(parse(json({ keys: [MASTER, { ...SIGNER, kid: 'm' }] })))).toEqual([K256, X_A]);
  });
});

test('a byte order mark in front of a JWK is passed over, as in every text that people edit', () => {
  const { masterKeys } = parse(Buffer.from(`\ufeff${JSON.stringify({ kty: 'oct', kid: 'm', k: K256 })}`));
  expect(masterKeys.map(({ kid }) => kid)).toEqual(['m']);
});

describe('refuses as InvalidKey', () => {
  const inSets = BAD_JWKS.filter(([name]) => name !== 'another kty').map(([, jwk]) => jwk);

  test.each(BAD_JWKS)('%s', async (_, jwk) => {
    const error = await refusal('InvalidKey', () => parse(json(jwk), '"/etc/keys.json"'));
    expect(error.message).toContain('"/etc/keys.json"');
    expect(fake.live.size).toBe(0);
  });

  test('each of these in a set, naming the key by index and kid, and keeping nothing', async () => {
    for (const jwk of inSets) {
      const error = await refusal('InvalidKey', () => parse(json({ keys: [MASTER, SIGNER, jwk] })));
      expect(error.message).toMatch(/^key 2.* in the keys option: /);
      expect(fake.live.size).toBe(0);
    }
    const error = await refusal('InvalidKey', () => parse(json({ keys: [{ kty: 'oct', kid: 'a\nb', k: 'x' }] })));
    expect(error.message).toMatch(/^key 0 \(kid "a\\nb"\) in the keys option: /);
    expect(error.kid).toBe('a\nb');
  });

  const duplicateKid: [string, unknown[]][] = [
    ['two master keys', [MASTER, { ...MASTER, k: K256_OTHER }]],
    ['two master keys of different algorithms', [MASTER, { ...MASTER, alg: 'aes128gcm', k: K128 }]],
    ['two master keys, of which one has a jku', [MASTER, { ...MASTER, jku: 'a', k: K256_OTHER }]],
    ['two signing keys', [SIGNER, { ...SIGNER, x: X_B, d: D_B }]],
    ['two public keys', [{ kty: 'okp', kid: '__proto__', x: X_A }, { kty: 'okp', kid: '__proto__', x: X_B }]],
  ]; // prettier-ignore
  test.each(duplicateKid)('one kid for %s', async (_, keys) => {
    const error = await refusal('InvalidKey', () => parse(json({ keys })));
    expect(error.message).toMatch(/^key 1 .*same kid/);
    expect(fake.live.size).toBe(0);
  });

  test.each(BAD_DOCUMENTS)('%s', async (_, text) => {
    const error = await refusal('InvalidKey', () => parse(utf8(text)));
    expect(error.message).toContain('the keys option');
    expect(fake.live.size).toBe(0);
  });

  test('text that is not UTF-8', async () => {
    const text = Buffer.concat([utf8('{"kty":"oct","kid":"'), Buffer.from([0xff]), utf8(`","k":"${K256}"}`)]);
    await refusal('InvalidKey', () => parse(text));
  });
});

test('a parsed key shows no material', () => {
  const keys = parse(json({ keys: [MASTER, SIGNER] }));
  expectNoMaterial(keys);
  expect(keys.signingKeys[0]!.publicKey).toHaveLength(32);
});

test('an error that shows part of a key would be noticed by these tests', () => {
  expect(() => expectNoMaterial(new CryptoTensorsError('InvalidKey', `k is ${K256.slice(8, 20)}`))).toThrow();
});
