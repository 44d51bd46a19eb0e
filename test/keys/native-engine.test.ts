import { createPrivateKey, createPublicKey, verify } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { getEngine } from '#dist/engine/load.js';
import type { Engine } from '#dist/engine/types.js';
import { generateKeys } from '#dist/keys/generate.js';
import { parseJwks } from '#dist/keys/jwk.js';
import { ringContents } from '#dist/keys/keyring.js';
import { loadKeyRing } from '#dist/keys/load.js';
import { ed25519Thumbprint } from '#dist/keys/thumbprint.js';
import { describe, expect, test } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { BAD_DOCUMENTS, BAD_JWKS } from './jwk-cases.js';
import { MASTER, SIGNER, VECTORS, base64, expectNoMaterial, json, refusal, utf8, vectorFile } from './support.js';

/* The other tests of keys run on a stand-in that counts secrets; these hold it, and keys, against the real engine. */
const native = getEngine();

/** What becomes of a document: its keys, or the words of the refusal. */
function outcome(text: Uint8Array, engine: Engine): unknown {
  try {
    const { masterKeys, signingKeys } = parseJwks(text, engine, { where: 'keys' });
    return [
      masterKeys.map(({ secret, ...key }) => ({ ...key, k: base64(engine.exportSecret(secret!)) })),
      signingKeys.map(({ seed, publicKey, ...key }) => ({
        ...key,
        x: base64(publicKey),
        d: seed === null ? null : base64(engine.exportSecret(seed)),
      })),
    ];
  } catch (error) {
    return String(error);
  }
}

describe('the native engine and node:crypto agree on', () => {
  const files = readdirSync(VECTORS).filter((name) => /^keys.*\.json$/.test(name));
  const cases: [string, Uint8Array][] = [
    ...files.map((name): [string, Uint8Array] => [name, vectorFile(name)]),
    ...BAD_JWKS.map(([name, jwk]): [string, Uint8Array] => [name, json(jwk)]),
    ...BAD_DOCUMENTS.map(([name, text]): [string, Uint8Array] => [name, utf8(text)]),
  ];
  test.each(cases)('%s', (_, text) => {
    expect(outcome(text, native)).toEqual(outcome(text, new FakeEngine().engine));
  });
});

test('a ring in native memory shows nothing, and is gone once it is disposed', async () => {
  const ring = await loadKeyRing([MASTER, SIGNER], native);
  const { masterKeys, signingKeys } = ringContents(ring);
  expectNoMaterial(ring);
  expectNoMaterial(masterKeys);
  expectNoMaterial(signingKeys);
  ring.dispose();
  expect(() => native.exportSecret(masterKeys[0]!.secret!)).toThrow();
  expect(() => native.exportSecret(signingKeys[0]!.seed!)).toThrow();
});

test('refusals over native memory show nothing either', async () => {
  for (const [, jwk] of BAD_JWKS) {
    await refusal('InvalidKey', () => parseJwks(json(jwk), native, { where: 'keys' }));
  }
});

test('generated keys sign what node:crypto verifies', async () => {
  const jwks = generateKeys({ format: 'rfc7517' }, native);
  const [, { kid, x, d }] = jwks.keys as [unknown, Record<'kid' | 'x' | 'd', string>];
  const { seed } = ringContents(await loadKeyRing(jwks, native)).signingKeys[0]!;
  const message = utf8('message');
  const publicKey = createPublicKey(createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', x, d }, format: 'jwk' }));
  expect(publicKey.export({ format: 'jwk' }).x).toBe(x);
  expect(verify(null, message, publicKey, native.ed25519Sign(seed!, message))).toBe(true);
  expect(kid).toBe(ed25519Thumbprint(Buffer.from(x, 'base64url'), native));
});
