import { createPrivateKey, createPublicKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { AgreementCurve } from '../../format/vocabulary.js';
import { keyMemory } from './secret.js';

/*
 * Asymmetric keys for node:crypto, which wants them in DER. Each key object is made for one use; what node:crypto keeps of it is
 * wiped when the collector takes it.
 */

type Curve = AgreementCurve | 'Ed25519';

/** What stands before a public key in SPKI, and before a private one in PKCS #8 (RFC 8410, RFC 5915). */
const PREFIXES: Readonly<Record<Curve, { spki: Buffer; pkcs8: Buffer }>> = {
  Ed25519: {
    spki: Buffer.from('302a300506032b6570032100', 'hex'),
    pkcs8: Buffer.from('302e020100300506032b657004220420', 'hex'),
  },
  X25519: {
    spki: Buffer.from('302a300506032b656e032100', 'hex'),
    pkcs8: Buffer.from('302e020100300506032b656e04220420', 'hex'),
  },
  'P-256': {
    spki: Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'),
    pkcs8: Buffer.from('3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420', 'hex'),
  },
};

/** The order of P-256: private keys are from 1 to below it, which OpenSSL does not check. */
const P256_ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');

/** Null for bytes that are none. */
export function privateKey(curve: Curve, bytes: Uint8Array): KeyObject | null {
  if (curve === 'P-256' && (bytes.every((byte) => byte === 0) || P256_ORDER.compare(bytes) <= 0)) return null;
  const { pkcs8 } = PREFIXES[curve];
  const der = keyMemory(pkcs8.length + bytes.byteLength);
  der.set(pkcs8);
  der.set(bytes, pkcs8.length);
  try {
    return createPrivateKey({ key: Buffer.from(der.buffer), format: 'der', type: 'pkcs8' });
  } catch {
    return null;
  } finally {
    der.fill(0);
  }
}

/** Null for bytes that are none. */
export function publicKey(curve: Curve, bytes: Uint8Array): KeyObject | null {
  try {
    return createPublicKey({ key: Buffer.concat([PREFIXES[curve].spki, bytes]), format: 'der', type: 'spki' });
  } catch {
    return null;
  }
}

/** The public key of a private one; null for bytes that are none. */
export function publicBytes(curve: Curve, secret: Uint8Array): Uint8Array | null {
  const key = privateKey(curve, secret);
  if (key === null) return null;
  const der = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return Uint8Array.from(der.subarray(PREFIXES[curve].spki.length));
}
