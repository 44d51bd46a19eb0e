import { createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Engine, Secret } from '../engine/types.js';

/*
 * Key agreement for licences: X25519 (RFC 7748) and ECDH over P-256, on node:crypto, which wants keys in DER. A private key is in
 * JavaScript memory for as long as it takes to hand it over, and wiped.
 */

/** Curves of a recipient key, as JWKs name them. */
export type RecipientCurve = 'X25519' | 'P-256';

interface CurveFacts {
  /** Bytes of a public key: RFC 8037's `x`, or `x` and `y`. */
  readonly publicBytes: number;
  /** What stands before them in SPKI, and before a private key in PKCS #8 (RFC 8410, RFC 5915). */
  readonly spki: Buffer;
  readonly pkcs8: Buffer;
}

export const PRIVATE_BYTES = 32;

export const CURVES: Readonly<Record<RecipientCurve, CurveFacts>> = {
  X25519: {
    publicBytes: 32,
    spki: Buffer.from('302a300506032b656e032100', 'hex'),
    pkcs8: Buffer.from('302e020100300506032b656e04220420', 'hex'),
  },
  'P-256': {
    publicBytes: 64,
    spki: Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'),
    pkcs8: Buffer.from('3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420', 'hex'),
  },
};

/** A public key; null for bytes that are none: another length, or a point that is not on the curve. */
export function importPublicKey(curve: RecipientCurve, bytes: Uint8Array): KeyObject | null {
  const { spki, publicBytes } = CURVES[curve];
  if (bytes.byteLength !== publicBytes) return null;
  try {
    return createPublicKey({ key: Buffer.concat([spki, bytes]), format: 'der', type: 'spki' });
  } catch {
    return null;
  }
}

/** The public key of a private one; null for bytes that are none. */
export function publicKeyOf(curve: RecipientCurve, secret: Secret, engine: Engine): Uint8Array | null {
  const { spki } = CURVES[curve];
  try {
    const der = createPublicKey(importPrivateKey(curve, secret, engine)).export({ format: 'der', type: 'spki' });
    return Uint8Array.from(der.subarray(spki.length));
  } catch {
    return null;
  }
}

/**
 * The secret that the two have in common, 32 bytes. The caller wipes it. Null if there is none: a public key of small order, which
 * gives everybody the same.
 */
export function agree(curve: RecipientCurve, secret: Secret, peer: KeyObject, engine: Engine): Uint8Array | null {
  const privateKey = importPrivateKey(curve, secret, engine);
  let shared: Uint8Array;
  try {
    shared = diffieHellman({ privateKey, publicKey: peer });
  } catch {
    return null;
  }
  return shared.some((byte) => byte !== 0) ? shared : null;
}

function importPrivateKey(curve: RecipientCurve, secret: Secret, engine: Engine): KeyObject {
  const { pkcs8 } = CURVES[curve];
  const bytes = engine.exportSecret(secret);
  const der = Buffer.from(new ArrayBuffer(pkcs8.length + bytes.byteLength));
  try {
    der.set(pkcs8);
    der.set(bytes, pkcs8.length);
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    engine.wipe(bytes);
    engine.wipe(der);
  }
}
