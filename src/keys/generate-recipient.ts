import { checkOneOf, checkString, ownOptions } from '../options.js';
import { AGREEMENT_PUBLIC_BYTES, AGREEMENT_SECRET_BYTES } from '../format/vocabulary.js';
import type { Engine, Secret } from '../engine/types.js';
import type { AgreementCurve } from '../format/vocabulary.js';
import { RECIPIENT_ALGORITHM } from './recipient.js';
import { recipientThumbprint } from './thumbprint.js';
import type { Jwk, JwkSet } from './types.js';

export interface GenerateRecipientKeysOptions {
  /** Default: `X25519`. P-256 is for those whose rules ask for a NIST curve. */
  curve?: AgreementCurve;
  /** Key id. Default: its RFC 7638 thumbprint. */
  kid?: string;
}

/**
 * A fresh key to be given licences for, as a JWK set to be stored: the result **is** the secret. RFC 7517's spelling: the reference
 * knows no such keys.
 *
 * @throws TypeError, InvalidOption
 */
export function generateRecipientKeys(options: GenerateRecipientKeysOptions = {}, engine: Engine): JwkSet {
  const own = ownOptions<GenerateRecipientKeysOptions>(options, ['curve', 'kid'], 'generateRecipientKeys');
  const { curve = 'X25519', kid } = own;
  checkOneOf(curve, 'options.curve', Object.keys(AGREEMENT_PUBLIC_BYTES));
  checkString(kid, 'options.kid');
  const { secret, publicKey } = freshKey(curve, engine);
  try {
    const bytes = engine.exportSecret(secret);
    try {
      const half = publicRecipientJwk({ curve, publicKey, kid: kid ?? recipientThumbprint(curve, publicKey, engine) });
      return { keys: [{ ...half, d: base64Url(bytes) }] };
    } finally {
      engine.wipe(bytes);
    }
  } finally {
    secret.dispose();
  }
}

/** The public half, in RFC 7517's spelling. */
export function publicRecipientJwk({
  curve,
  publicKey,
  kid,
}: {
  curve: AgreementCurve;
  publicKey: Uint8Array;
  kid: string | null;
}): Jwk {
  const name = kid === null ? {} : { kid };
  const facts = { crv: curve, alg: RECIPIENT_ALGORITHM, use: 'enc', ...name };
  if (curve === 'X25519') return { kty: 'OKP', ...facts, x: base64Url(publicKey) };
  const half = publicKey.length / 2;
  return { kty: 'EC', ...facts, x: base64Url(publicKey.subarray(0, half)), y: base64Url(publicKey.subarray(half)) };
}

function freshKey(curve: AgreementCurve, engine: Engine): { secret: Secret; publicKey: Uint8Array } {
  for (;;) {
    const secret = engine.randomSecret(AGREEMENT_SECRET_BYTES);
    const publicKey = engine.agreementPublicKey(curve, secret);
    if (publicKey !== null) return { secret, publicKey };
    // On P-256 one in 2^32 draws is not below the order of the curve.
    secret.dispose();
  }
}

function base64Url(bytes: Uint8Array): string {
  const { buffer, byteOffset, byteLength } = bytes;
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64url');
}
