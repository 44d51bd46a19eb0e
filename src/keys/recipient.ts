import type { JsonRange } from '../format/json.js';
import { AGREEMENT_PUBLIC_BYTES, AGREEMENT_SECRET_BYTES } from '../format/vocabulary.js';
import type { Engine, Secret } from '../engine/types.js';
import type { AgreementCurve } from '../format/vocabulary.js';
import { invalidKey } from './jwk-document.js';
import type { JwkMembers } from './jwk-document.js';
import { decodePublicMember, importMember } from './material.js';
import type { KeyState } from './types.js';
import { recipientThumbprint } from './thumbprint.js';
import type { RecipientKey } from './types.js';

/** The one algorithm that recipient keys are for here (RFC 7518 §4.6); a JWK may leave it out. */
export const RECIPIENT_ALGORITHM = 'ECDH-ES';

/** Whether a JWK is one that licences are issued to: X25519, or P-256 unless it says that it is for something else, as signing. */
export function isRecipientJwk({ kty, crv, alg, use }: JwkMembers): boolean {
  if (kty === 'OKP') return crv === 'X25519';
  return kty === 'EC' && crv === 'P-256' && use !== 'sig' && (alg === null || alg.startsWith(RECIPIENT_ALGORITHM));
}

/**
 * Reads a recipient key (RFC 8037 §2, RFC 7518 §6.2): its public part must be there, and be that of the private part.
 *
 * @throws InvalidKey
 */
export function parseRecipientKey(bytes: Uint8Array, jwk: JwkMembers, state: KeyState, engine: Engine): RecipientKey {
  if (jwk.alg !== null && jwk.alg !== RECIPIENT_ALGORITHM) {
    throw invalidKey(jwk, `"alg" of a recipient key must be ${RECIPIENT_ALGORITHM} or absent`);
  }
  if (jwk.use !== null && jwk.use !== 'enc') throw invalidKey(jwk, '"use" of a recipient key must be "enc" or absent');
  const curve: AgreementCurve = jwk.kty === 'EC' ? 'P-256' : 'X25519';
  const publicKey = parsePublicKey(bytes, jwk, curve, engine);
  const key = {
    kid: jwk.kid,
    jku: jwk.jku,
    state,
    curve,
    publicKey,
    thumbprint: recipientThumbprint(curve, publicKey, engine),
  };
  // What is never used is not loaded.
  if (jwk.d === null || state === 'revoked') return { ...key, secret: null };
  const secret = parsePrivateKey(bytes, jwk, jwk.d, engine);
  const derived = engine.agreementPublicKey(curve, secret);
  if (derived !== null && Buffer.compare(derived, publicKey) === 0) return { ...key, secret };
  secret.dispose();
  throw invalidKey(jwk, 'the public part is not that of "d": they are halves of different keys');
}

function parsePublicKey(bytes: Uint8Array, jwk: JwkMembers, curve: AgreementCurve, engine: Engine): Uint8Array {
  const coordinates = curve === 'P-256' ? (['x', 'y'] as const) : (['x'] as const);
  const parts = coordinates.map((name) => {
    const range = jwk[name];
    if (range === null) throw invalidKey(jwk, `"${name}" is missing: a recipient key needs its public part there`);
    const part = decodePublicMember(bytes, range, engine);
    if (part === null) throw invalidKey(jwk, `"${name}" is not base64 (standard or URL-safe)`);
    const expected = AGREEMENT_PUBLIC_BYTES[curve] / coordinates.length;
    if (part.length !== expected) throw invalidKey(jwk, `"${name}" must be ${expected} bytes, but is ${part.length}`);
    return part;
  });
  const publicKey = Uint8Array.from(Buffer.concat(parts));
  if (engine.isAgreementPublicKey(curve, publicKey)) return publicKey;
  throw invalidKey(jwk, `its public part is not a point of ${curve}`);
}

function parsePrivateKey(bytes: Uint8Array, jwk: JwkMembers, d: JsonRange, engine: Engine): Secret {
  const secret = importMember(bytes, d, engine);
  if (secret === null) throw invalidKey(jwk, '"d" is not base64 (standard or URL-safe)');
  if (secret.byteLength === AGREEMENT_SECRET_BYTES) return secret;
  const { byteLength } = secret;
  secret.dispose();
  throw invalidKey(jwk, `"d" must be ${AGREEMENT_SECRET_BYTES} bytes, but is ${byteLength}`);
}
