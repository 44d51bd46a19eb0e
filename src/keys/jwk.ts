import { withoutBom } from '../format/file-kind.js';
import type { JsonRange } from '../format/json.js';
import { AEAD_KEY_BYTES } from '../format/vocabulary.js';
import type { Engine, Secret } from '../engine/types.js';
import type { AeadAlgorithm } from '../format/vocabulary.js';
import { aeadFromName, isEd25519Name } from './algorithm.js';
import { KeyCollector } from './collector.js';
import { withPlainBase64 } from './escapes.js';
import { invalidKey, readJwkDocument } from './jwk-document.js';
import type { JwkMembers, KeyOrigin } from './jwk-document.js';
import { decodePublicMember, importMember } from './material.js';
import { isPem, parsePem } from './pem.js';
import { isRecipientJwk, parseRecipientKey } from './recipient.js';
import { KEY_STATES, isKeyState } from './state.js';
import type { KeyState } from './types.js';
import type { LoadedKeys, MasterKey, SigningKey } from './types.js';

export const ED25519_BYTES = 32;

/**
 * Parses the JSON text of a JWK or JWK set, or PEM. The caller owns the secrets in the result and wipes `bytes`. A byte order mark in
 * front is passed over.
 *
 * In a set, keys of a kind that this library has no use for (`RSA`, `EC` for signing, …) are skipped, as RFC 7517 §5 asks; what is
 * wrong with any other key is an error. Nothing is returned, and nothing is kept, unless the whole document is right.
 *
 * @throws InvalidKey
 */
export function parseJwks(bytes: Uint8Array, engine: Engine, origin: KeyOrigin): LoadedKeys {
  const text = withoutBom(bytes);
  if (isPem(text)) return parsePem(text, engine, origin);
  return withPlainBase64(text, engine, (plain) => parsePlainJwks(plain, engine, origin));
}

function parsePlainJwks(bytes: Uint8Array, engine: Engine, origin: KeyOrigin): LoadedKeys {
  const { jwks, isSet } = readJwkDocument(bytes, origin);
  const collector = new KeyCollector(engine);
  try {
    for (const jwk of jwks) {
      if (jwk.kty === 'oct') {
        collector.addMasterKey(parseMasterKey(bytes, jwk, engine), jwk);
      } else if (isRecipientJwk(jwk)) {
        collector.addRecipientKey(parseRecipientKey(bytes, jwk, stateOf(jwk), engine), jwk);
      } else if (jwk.kty === 'okp' || jwk.kty === 'OKP') {
        collector.addSigningKey(parseSigningKey(bytes, jwk, engine), jwk);
      } else {
        refuseOtherKind(jwk, isSet);
      }
    }
    return collector.keys;
  } catch (error) {
    collector.dispose();
    throw error;
  }
}

/** Skipping a key whose `kty` is merely misspelt would hide it. */
function refuseOtherKind(jwk: JwkMembers, isSet: boolean): void {
  const misspelt = ['oct', 'okp'].includes(jwk.kty.toLowerCase());
  if (!isSet || misspelt) {
    throw invalidKey(
      jwk,
      '"kty" must be "oct" for a master key, "okp" or "OKP" for an Ed25519 signing key, "OKP" with "crv" X25519 or "EC" with P-256 for a recipient key',
    );
  }
}

function parseMasterKey(bytes: Uint8Array, jwk: JwkMembers, engine: Engine): MasterKey {
  const algorithm = masterAlgorithm(jwk);
  const state = stateOf(jwk);
  const name = { kid: jwk.kid, jku: jwk.jku };
  // What says that a key is revoked need not hold the key; and what is never used is not loaded.
  if (state === 'revoked')
    return { ...name, state, algorithm, secret: engine.importSecret(new Uint8Array(0)), remote: null };
  if (jwk.k === null) throw invalidKey(jwk, '"k" is missing: a master key needs its base64 key bytes there');
  const secret = importMember(bytes, jwk.k, engine);
  if (secret === null) throw invalidKey(jwk, '"k" is not base64 (standard or URL-safe)');

  const lengths = algorithm === null ? Object.values(AEAD_KEY_BYTES) : [AEAD_KEY_BYTES[algorithm]];
  if (!lengths.includes(secret.byteLength)) {
    const { byteLength } = secret;
    secret.dispose();
    const expected = algorithm === null ? '16 or 32 bytes' : `${AEAD_KEY_BYTES[algorithm]} bytes for ${algorithm}`;
    throw invalidKey(jwk, `"k" must be ${expected}, but is ${byteLength}`);
  }
  return { ...name, state, algorithm, secret, remote: null };
}

function masterAlgorithm(jwk: JwkMembers): AeadAlgorithm | null {
  if (jwk.alg === null) return null;
  const algorithm = aeadFromName(jwk.alg);
  if (algorithm === null) {
    throw invalidKey(jwk, `"alg" of a master key must be ${Object.keys(AEAD_KEY_BYTES).join(', ')} or absent`);
  }
  return algorithm;
}

function parseSigningKey(bytes: Uint8Array, jwk: JwkMembers, engine: Engine): SigningKey {
  if (jwk.crv !== null && jwk.crv !== 'Ed25519')
    throw invalidKey(jwk, '"crv" must be "Ed25519"; for a recipient key: "kty" OKP and "crv" X25519');
  if (jwk.alg !== null && !isEd25519Name(jwk.alg))
    throw invalidKey(jwk, '"alg" of a signing key must be ed25519 or EdDSA');
  if (jwk.x === null && jwk.d === null)
    throw invalidKey(jwk, '"x" is missing: a signing key needs its public key there');

  const key = { kid: jwk.kid, jku: jwk.jku, state: stateOf(jwk), remote: null };
  const stated = jwk.x === null ? null : parsePublicKey(bytes, jwk, jwk.x, engine);
  const seed = jwk.d === null ? null : parseSeed(bytes, jwk, jwk.d, engine);
  if (seed === null) return { ...key, publicKey: stated!, seed };

  const publicKey = engine.ed25519PublicKey(seed);
  if (stated !== null && Buffer.compare(stated, publicKey) !== 0) {
    seed.dispose();
    throw invalidKey(jwk, '"x" is not the public key of "d": they are halves of different keys');
  }
  return { ...key, publicKey, seed };
}

function stateOf(jwk: JwkMembers): KeyState {
  const state = jwk.state ?? 'active';
  if (!isKeyState(state)) throw invalidKey(jwk, `"state" must be one of ${KEY_STATES.join(', ')} or absent`);
  if (state === 'revoked' && jwk.kid === null) {
    throw invalidKey(jwk, '"kid" is missing: a key is revoked by its name');
  }
  return state;
}

function parsePublicKey(bytes: Uint8Array, jwk: JwkMembers, x: JsonRange, engine: Engine): Uint8Array {
  const publicKey = decodePublicMember(bytes, x, engine);
  if (publicKey === null) throw invalidKey(jwk, '"x" is not base64 (standard or URL-safe)');
  if (publicKey.length !== ED25519_BYTES) {
    throw invalidKey(jwk, `"x" must be ${ED25519_BYTES} bytes, but is ${publicKey.length}`);
  }
  return publicKey;
}

function parseSeed(bytes: Uint8Array, jwk: JwkMembers, d: JsonRange, engine: Engine): Secret {
  const seed = importMember(bytes, d, engine);
  if (seed === null) throw invalidKey(jwk, '"d" is not base64 (standard or URL-safe)');
  if (seed.byteLength === ED25519_BYTES) return seed;
  const { byteLength } = seed;
  seed.dispose();
  throw invalidKey(jwk, `"d" must be the ${ED25519_BYTES}-byte Ed25519 seed, but is ${byteLength} bytes`);
}
