import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import type { JsonWebKey } from 'node:crypto';
import { generateKeys, publicJwks } from '#dist/keys/generate.js';
import type { GenerateKeysOptions, JwkFormat } from '#dist/keys/generate.js';
import { ringContents } from '#dist/keys/keyring.js';
import { ed25519Thumbprint } from '#dist/keys/thumbprint.js';
import type { Jwk, JwkSet } from '#dist/keys/types.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { D_A, MASTER, SIGNER, X_A, X_B, base64, json, refusal, ringOf, utf8 } from './support.js';

let fake: FakeEngine;
beforeEach(() => {
  fake = new FakeEngine();
});
const generate = (options?: GenerateKeysOptions): [Jwk, Jwk] => generateKeys(options, fake.engine).keys as [Jwk, Jwk];
const FORMATS: JwkFormat[] = ['reference', 'rfc7517'];
const ALGORITHMS = ['aes128gcm', 'aes256gcm', 'chacha20poly1305'] as const;
const bytes = (text: string | undefined): Buffer => Buffer.from(text!, 'base64');

describe('generated keys', () => {
  test.each(FORMATS.flatMap((format) => ALGORITHMS.map((algorithm) => [format, algorithm] as const)))(
    'in the form %s for %s are read back',
    (format, algorithm) => {
      const [enc, signing] = generate({ format, algorithm });
      expect(fake.live.size).toBe(0);
      const ring = ringOf(fake.engine, json({ keys: [enc, signing] }));
      expect(ring.masterKeys).toEqual([{ kid: enc.kid, algorithm, state: 'active' }]);
      expect(ring.signingKeys).toEqual([{ kid: signing.kid, algorithm: 'ed25519', hasPrivate: true, state: 'active' }]);
      const { masterKeys, signingKeys } = ringContents(ring);
      expect(base64(fake.exportSecret(masterKeys[0]!.secret!))).toBe(bytes(enc.k).toString('base64'));
      expect(base64(signingKeys[0]!.publicKey)).toBe(bytes(signing.x).toString('base64'));
      expect(base64(fake.exportSecret(signingKeys[0]!.seed!))).toBe(bytes(signing.d).toString('base64'));
    },
  );

  test('are as the reference reads them, by default', () => {
    const [enc, signing] = generate();
    expect(Object.keys(enc).sort()).toEqual(['alg', 'k', 'kid', 'kty']);
    expect(Object.keys(signing).sort()).toEqual(['alg', 'd', 'kid', 'kty', 'x']);
    expect([enc.kty, enc.alg, signing.kty, signing.alg]).toEqual(['oct', 'aes256gcm', 'okp', 'ed25519']);
    for (const text of [enc.k, signing.x, signing.d]) expect(text).toMatch(/^[A-Za-z0-9+/]{43}=$/);
  });

  test('are as RFC 7517 writes them, if asked', () => {
    const [enc, signing] = generate({ format: 'rfc7517' });
    expect([enc.kty, enc.alg]).toEqual(['oct', 'A256GCM']);
    expect([signing.kty, signing.crv, signing.alg]).toEqual(['OKP', 'Ed25519', 'EdDSA']);
    for (const text of [enc.k, signing.x, signing.d]) expect(text).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(generate({ format: 'rfc7517', algorithm: 'aes128gcm' })[0]).toMatchObject({ alg: 'A128GCM' });
  });

  test.each(FORMATS)('in the form %s, with Ed25519 as node:crypto knows it', (format) => {
    const { x, d } = generate({ format })[1];
    const jwk: JsonWebKey = {
      kty: 'OKP',
      crv: 'Ed25519',
      x: bytes(x).toString('base64url'),
      d: bytes(d).toString('base64url'),
    };
    const privateKey = createPrivateKey({ key: jwk, format: 'jwk' });
    const message = utf8('message');
    expect(createPublicKey(privateKey).export({ format: 'jwk' }).x).toBe(jwk.x);
    expect(verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), sign(null, message, privateKey))).toBe(
      true,
    );
  });

  test('are fresh each time, and so are their names', () => {
    const all = Array.from({ length: 20 }, () => generate()).flat();
    for (const member of ['k', 'd', 'x', 'kid']) {
      const values = all.map((jwk) => jwk[member]).filter((value) => value !== undefined);
      expect(new Set(values).size).toBe(values.length);
    }
  });

  test('are named by the caller, or else: the public key by its thumbprint, the master key by chance', () => {
    const named = generate({ encKid: '__proto__', signKid: '' });
    expect(named.map(({ kid }) => kid)).toEqual(['__proto__', '']);
    const [enc, signing] = generate();
    expect(signing.kid).toBe(ed25519Thumbprint(bytes(signing.x), fake.engine));
    expect(enc.kid).toMatch(/^enc-[A-Za-z0-9_-]{12}$/);
  });

  test('are refused with options that do not exist', async () => {
    await refusal('InvalidOption', () => generate({ algorithm: 'aes512gcm' as 'aes256gcm' }));
    await refusal('InvalidOption', () => generate({ format: 'pem' as 'reference' }));
    expect(() => generate({ encKid: 5 as unknown as string })).toThrow('options.encKid must be a string, not number 5');
    expect(() => generate({ signKid: null as unknown as string })).toThrow('options.signKid must be a string');
    expect(() => generate({ kid: 'x' } as object)).toThrow('unknown option "kid" of generateKeys');
    expect(() => generate('aes256gcm' as unknown as object)).toThrow(TypeError);
    expect(fake.live.size).toBe(0);
  });
});

test('the thumbprint is that of RFC 8037, appendix A.3', () => {
  const publicKey = Buffer.from('11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', 'base64url');
  expect(ed25519Thumbprint(publicKey, fake.engine)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
});

describe('the verifying half', () => {
  const half = (jwks: Jwk | JwkSet): readonly Jwk[] => publicJwks(jwks, fake.engine).keys;

  test.each(FORMATS)('of generated keys in the form %s verifies and nothing else', (format) => {
    const [enc, signing] = generate({ format });
    const { d, ...rest } = signing;
    expect(half({ keys: [enc, signing] })).toEqual([rest]);
    expect(JSON.stringify(half({ keys: [enc, signing] }))).not.toContain(d!.slice(0, 8));
    const ring = ringOf(fake.engine, publicJwks({ keys: [enc, signing] }, fake.engine));
    expect(ring.signingKeys).toEqual([{ kid: signing.kid, algorithm: 'ed25519', hasPrivate: false, state: 'active' }]);
  });

  test('keeps kid and jku, derives what is missing, and drops what else is in the JWK', () => {
    const keys = half({
      keys: [MASTER, { kty: 'okp', d: D_A, jku: 'file:///x', note: 'private' }, { kty: 'okp', kid: 'b', x: X_B }],
    });
    expect(keys).toEqual([
      { kty: 'okp', alg: 'ed25519', jku: 'file:///x', x: X_A },
      { kty: 'okp', alg: 'ed25519', kid: 'b', x: X_B },
    ]);
    expect(half(SIGNER)).toEqual([{ kty: 'okp', alg: 'ed25519', kid: 's', x: X_A }]);
    expect(half(MASTER)).toEqual([]);
    expect(fake.live.size).toBe(0);
  });

  test('is not made of keys that are wrong', async () => {
    await refusal('InvalidKey', () => half({ ...SIGNER, x: X_B }));
    expect(() => half('keys.json' as unknown as Jwk)).toThrow('jwks must be a JWK or JWK set object, not a string');
  });
});
