import { isMap } from 'node:util/types';
import { CryptoTensorsError } from '../../errors.js';
import { parseJsonDocument } from '../../format/json.js';
import type { JsonObject } from '../../format/json.js';
import type { AeadAlgorithm } from '../../format/vocabulary.js';
import { aeadFromName } from '../algorithm.js';
import { invalidKey } from '../jwk-document.js';
import type { KeyOrigin } from '../jwk-document.js';
import { KEY_STATES, isKeyState } from '../state.js';
import type { KeyState } from '../types.js';

/** The member of a JWK that stands in place of `k`: the master key as AWS KMS encrypted it, in base64. */
export const CIPHERTEXT_MEMBER = 'kms_ciphertext';

/** A master key that only AWS KMS can decrypt. Nothing in it is secret. */
export interface KmsEntry {
  readonly kid: string;
  readonly algorithm: AeadAlgorithm;
  readonly state: KeyState;
  /** Empty for a revoked key that is listed without it. */
  readonly ciphertext: Uint8Array;
}

/** Far above what KMS makes of 32 bytes. */
const MAX_CIPHERTEXT_BYTES = 6144;

/**
 * Reads a JWK or JWK set whose master keys are encrypted by AWS KMS.
 *
 * @throws InvalidKey
 */
export function readKmsDocument(text: Uint8Array, origin: KeyOrigin): KmsEntry[] {
  const document = parseJsonDocument(text, { code: 'InvalidKey', name: origin.where });
  const keys = isMap(document) ? (document.get('keys') ?? [document]) : undefined;
  if (!Array.isArray(keys)) {
    throw new CryptoTensorsError(
      'InvalidKey',
      `${origin.where} must be a JWK set {"keys":[…]}`,
      origin.path === undefined ? {} : { path: origin.path },
    );
  }
  const names = new Set<string>();
  return keys.map((jwk, index) => {
    if (!isMap(jwk)) {
      throw invalidKey({ label: `key ${index}`, kid: null, origin }, 'a key must be a JSON object');
    }
    const entry = readEntry(jwk, index, origin);
    if (names.has(entry.kid)) {
      throw invalidKey({ label: `key ${index}`, kid: entry.kid, origin }, 'another key in this set has the same kid');
    }
    names.add(entry.kid);
    return entry;
  });
}

function readEntry(jwk: JsonObject, index: number, origin: KeyOrigin): KmsEntry {
  const label = `key ${index}`;
  const kid = jwk.get('kid');
  if (typeof kid !== 'string' || kid === '') {
    throw invalidKey(
      { label, kid: null, origin },
      '"kid" must be a string that is not empty: the ciphertext is bound to it',
    );
  }
  const refuse = (problem: string): never => {
    throw invalidKey({ label, kid, origin }, problem);
  };
  if (jwk.get('kty') !== 'oct') refuse('"kty" must be "oct": AWS KMS keeps master keys only');
  if (jwk.has('k')) refuse(`"k" must not be there: the key is in "${CIPHERTEXT_MEMBER}", encrypted`);
  const alg = jwk.get('alg');
  const algorithm = typeof alg === 'string' ? aeadFromName(alg) : null;
  if (algorithm === null) return refuse('"alg" must be aes128gcm, aes256gcm or chacha20poly1305');
  const state = jwk.get('state') ?? 'active';
  if (typeof state !== 'string' || !isKeyState(state)) {
    return refuse(`"state" must be one of ${KEY_STATES.join(', ')} or absent`);
  }
  const encoded = jwk.get(CIPHERTEXT_MEMBER);
  if (encoded === undefined && state === 'revoked') return { kid, algorithm, state, ciphertext: new Uint8Array(0) };
  const ciphertext = typeof encoded === 'string' ? decodeBase64(encoded) : null;
  if (ciphertext === null) return refuse(`"${CIPHERTEXT_MEMBER}" must be the ciphertext in standard base64`);
  return { kid, algorithm, state, ciphertext };
}

function decodeBase64(text: string): Uint8Array | null {
  const bytes = Buffer.from(text, 'base64');
  const whole = bytes.length > 0 && bytes.length <= MAX_CIPHERTEXT_BYTES && bytes.toString('base64') === text;
  return whole ? bytes : null;
}
