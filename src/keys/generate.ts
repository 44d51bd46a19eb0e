import { AEAD_KEY_BYTES } from '../format/vocabulary.js';
import type { Engine, Secret } from '../engine/types.js';
import type { AeadAlgorithm } from '../format/vocabulary.js';
import { checkOneOf, checkString, ownMembers, ownOptions } from '../options.js';
import { ED25519_BYTES, parseJwks } from './jwk.js';
import { publicRecipientJwk } from './generate-recipient.js';
import { isJwkSet, jwksFromObject } from './jwk-object.js';
import { ed25519Thumbprint } from './thumbprint.js';
import { disposeKeys } from './types.js';
import type { Jwk, JwkSet, RecipientKey, SigningKey } from './types.js';

/** How keys are written. Both forms are read back by this library. */
export type JwkFormat =
  /** As the reference reads them (FORMAT.md §3): lower-case `kty` and `alg`, standard base64 with padding. */
  | 'reference'
  /** As RFC 7517, 7518 and 8037 write them: `OKP`, `crv`, `EdDSA`, `A256GCM`, base64url without padding. */
  | 'rfc7517';

export interface GenerateKeysOptions {
  /** What the master key is for. Default: `aes256gcm`. */
  algorithm?: AeadAlgorithm;
  /** Key id of the master key. Default: random. */
  encKid?: string;
  /** Key id of the signing key. Default: its RFC 7638 thumbprint. */
  signKid?: string;
  /** Default: `reference`. */
  format?: JwkFormat;
}

const RANDOM_KID_BYTES = 9;

/** RFC 7518 §5.1; for ChaCha20-Poly1305, which has no RFC, the name in its JOSE draft. */
const RFC_NAMES: Readonly<Record<AeadAlgorithm, string>> = {
  aes128gcm: 'A128GCM',
  aes256gcm: 'A256GCM',
  chacha20poly1305: 'C20P',
};

/**
 * A fresh master key and a fresh Ed25519 signing key, as a JWK set to be stored: the result **is** the secret.
 *
 * @throws TypeError, InvalidOption
 */
export function generateKeys(options: GenerateKeysOptions = {}, engine: Engine): JwkSet {
  const own = ownOptions<GenerateKeysOptions>(options, ['algorithm', 'encKid', 'signKid', 'format'], 'generateKeys');
  const { algorithm = 'aes256gcm', encKid, signKid, format = 'reference' } = own;
  checkOneOf(algorithm, 'options.algorithm', Object.keys(AEAD_KEY_BYTES));
  checkOneOf(format, 'options.format', ['reference', 'rfc7517']);
  checkString(encKid, 'options.encKid');
  checkString(signKid, 'options.signKid');

  const master = engine.randomSecret(AEAD_KEY_BYTES[algorithm]);
  const seed = engine.randomSecret(ED25519_BYTES);
  try {
    const publicKey = engine.ed25519PublicKey(seed);
    const k = exportBase64(master, format, engine);
    const d = exportBase64(seed, format, engine);
    const x = encodeBase64(publicKey, format);
    // The master key's name says nothing about it; a hash of a secret would.
    const names = { enc: encKid ?? randomKid(engine), sign: signKid ?? ed25519Thumbprint(publicKey, engine) };
    return format === 'reference'
      ? {
          keys: [
            { kty: 'oct', alg: algorithm, kid: names.enc, k },
            { kty: 'okp', alg: 'ed25519', kid: names.sign, x, d },
          ],
        }
      : {
          keys: [
            { kty: 'oct', alg: RFC_NAMES[algorithm], kid: names.enc, k },
            { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', kid: names.sign, x, d },
          ],
        };
  } finally {
    master.dispose();
    seed.dispose();
  }
}

/**
 * What others need of a JWK or JWK set, and nothing else: the public halves of its signing keys, in the form in which they were
 * written, for whoever verifies; those of its recipient keys for whoever issues licences.
 *
 * @throws TypeError, InvalidKey
 */
export function publicJwks(jwks: Jwk | JwkSet, engine: Engine): JwkSet {
  const text = jwksFromObject(jwks, 'jwks');
  try {
    const keys = parseJwks(text, engine, { where: 'jwks' });
    const format = usesRfcForm(jwks) ? 'rfc7517' : 'reference';
    disposeKeys(keys);
    return {
      keys: [...keys.signingKeys.map((key) => publicJwk(key, format)), ...keys.recipientKeys.map(publicHalfOf)],
    };
  } finally {
    engine.wipe(text);
  }
}

function publicJwk({ kid, jku, state, publicKey }: SigningKey, format: JwkFormat): Jwk {
  const kind = format === 'reference' ? { kty: 'okp', alg: 'ed25519' } : { kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA' };
  return {
    ...kind,
    ...(kid === null ? {} : { kid }),
    ...(jku === null ? {} : { jku }),
    ...(state === 'active' ? {} : { state }),
    x: encodeBase64(publicKey, format),
  };
}

function publicHalfOf(key: RecipientKey): Jwk {
  const { jku, state } = key;
  return { ...publicRecipientJwk(key), ...(jku === null ? {} : { jku }), ...(state === 'active' ? {} : { state }) };
}

function usesRfcForm(jwks: Jwk | JwkSet): boolean {
  const keys = isJwkSet(jwks) ? jwks.keys : [jwks];
  return keys.some((jwk) => {
    const { kty, crv } = ownMembers<Jwk>(jwk, ['kty', 'crv']);
    return kty === 'OKP' && crv !== 'X25519';
  });
}

export function randomKid(engine: Engine): string {
  const random = engine.randomSecret(RANDOM_KID_BYTES);
  try {
    return `enc-${exportBase64(random, 'rfc7517', engine)}`;
  } finally {
    random.dispose();
  }
}

function exportBase64(secret: Secret, format: JwkFormat, engine: Engine): string {
  const bytes = engine.exportSecret(secret);
  try {
    return encodeBase64(bytes, format);
  } finally {
    engine.wipe(bytes);
  }
}

function encodeBase64(bytes: Uint8Array, format: JwkFormat): string {
  const { buffer, byteOffset, byteLength } = bytes;
  return Buffer.from(buffer, byteOffset, byteLength).toString(format === 'reference' ? 'base64' : 'base64url');
}
