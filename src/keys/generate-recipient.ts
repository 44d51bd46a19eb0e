import { checkOneOf, checkOptionNames, checkString } from '../options.js';
import { generateKeyPairSync } from 'node:crypto';
import type { Engine } from '../engine/types.js';
import { CURVES, PRIVATE_BYTES, publicKeyOf } from './agreement.js';
import type { RecipientCurve } from './agreement.js';
import { RECIPIENT_ALGORITHM } from './recipient.js';
import { recipientThumbprint } from './thumbprint.js';
import type { Jwk, JwkSet } from './types.js';

export interface GenerateRecipientKeysOptions {
  /** Default: `X25519`. P-256 is for those whose rules ask for a NIST curve. */
  curve?: RecipientCurve;
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
  checkOptionNames(options, ['curve', 'kid'], 'generateRecipientKeys');
  const { curve = 'X25519', kid } = options;
  checkOneOf(curve, 'options.curve', Object.keys(CURVES));
  checkString(kid, 'options.kid');
  const bytes = freshPrivateKey(curve);
  const secret = engine.importSecret(bytes);
  try {
    const publicKey = publicKeyOf(curve, secret, engine)!;
    const d = base64Url(bytes);
    return {
      keys: [
        { ...publicRecipientJwk({ curve, publicKey, kid: kid ?? recipientThumbprint(curve, publicKey, engine) }), d },
      ],
    };
  } finally {
    secret.dispose();
    engine.wipe(bytes);
  }
}

/** The public half, in RFC 7517's spelling. */
export function publicRecipientJwk({
  curve,
  publicKey,
  kid,
}: {
  curve: RecipientCurve;
  publicKey: Uint8Array;
  kid: string | null;
}): Jwk {
  const name = kid === null ? {} : { kid };
  const facts = { crv: curve, alg: RECIPIENT_ALGORITHM, use: 'enc', ...name };
  if (curve === 'X25519') return { kty: 'OKP', ...facts, x: base64Url(publicKey) };
  const half = publicKey.length / 2;
  return { kty: 'EC', ...facts, x: base64Url(publicKey.subarray(0, half)), y: base64Url(publicKey.subarray(half)) };
}

/** Where the private key stands in PKCS #8 as Node.js writes it: of P-256 with the public key behind it. */
const PRIVATE_AT: Readonly<Record<RecipientCurve, number>> = { X25519: 16, 'P-256': 36 };

/** By the library that will use it: on P-256 not every 32 bytes are a private key. */
function freshPrivateKey(curve: RecipientCurve): Uint8Array {
  const { privateKey } =
    curve === 'X25519' ? generateKeyPairSync('x25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  try {
    const start = PRIVATE_AT[curve];
    const bytes = new Uint8Array(new ArrayBuffer(PRIVATE_BYTES));
    bytes.set(der.subarray(start, start + PRIVATE_BYTES));
    return bytes;
  } finally {
    der.fill(0);
  }
}

function base64Url(bytes: Uint8Array): string {
  const { buffer, byteOffset, byteLength } = bytes;
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64url');
}
