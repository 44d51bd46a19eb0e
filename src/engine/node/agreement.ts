import { createDecipheriv, createHash, createPrivateKey, createPublicKey, diffieHellman } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { AGREEMENT_PUBLIC_BYTES, AGREEMENT_SECRET_BYTES, TAG_BYTES } from '../types.js';
import type { AgreementCurve, SealedMessage, Secret } from '../types.js';
import { NodeSecret, keyMemory, secretBytes } from './secret.js';

/*
 * Key agreement on node:crypto, which wants keys in DER. It makes each key object for one use; what it keeps of it is wiped when
 * the collector takes it.
 */

/** What stands before a public key in SPKI, and before a private one in PKCS #8 (RFC 8410, RFC 5915). */
const PREFIXES: Readonly<Record<AgreementCurve, { spki: Buffer; pkcs8: Buffer }>> = {
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
const ZERO = Buffer.alloc(AGREEMENT_SECRET_BYTES);

/** The first round of the Concat KDF, the only one for 32 bytes. */
const FIRST_ROUND = Buffer.from('00000001', 'hex');

export function agreementPublicKey(curve: AgreementCurve, secret: Secret): Uint8Array | null {
  const own = privateKey(curve, secret);
  if (own === null) return null;
  const der = createPublicKey(own).export({ format: 'der', type: 'spki' });
  return Uint8Array.from(der.subarray(PREFIXES[curve].spki.length));
}

export function isAgreementPublicKey(curve: AgreementCurve, bytes: Uint8Array): boolean {
  return publicKey(curve, bytes) !== null;
}

export function agreeOnKey(curve: AgreementCurve, secret: Secret, peer: Uint8Array, info: Uint8Array): Secret | null {
  const own = privateKey(curve, secret);
  const other = publicKey(curve, peer);
  if (own === null || other === null) return null;
  let shared: Buffer;
  try {
    shared = diffieHellman({ privateKey: own, publicKey: other });
  } catch {
    return null;
  }
  try {
    if (shared.every((byte) => byte === 0)) return null;
    const digest = createHash('sha256').update(FIRST_ROUND).update(shared).update(info).digest();
    const key = keyMemory(digest.byteLength);
    key.set(digest);
    digest.fill(0);
    return new NodeSecret(key);
  } finally {
    shared.fill(0);
  }
}

export function openMessage(key: Secret, { iv, additional, ciphertext, tag }: SealedMessage): Secret | null {
  const decipher = createDecipheriv('aes-256-gcm', secretBytes(key, 'key'), iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(additional).setAuthTag(tag);
  const plain = keyMemory(ciphertext.byteLength);
  let passed = false;
  try {
    const piece = decipher.update(ciphertext);
    plain.set(piece);
    piece.fill(0);
    decipher.final();
    passed = true;
    return new NodeSecret(plain);
  } catch {
    return null;
  } finally {
    if (!passed) plain.fill(0);
  }
}

/** Null for bytes that are none. */
function privateKey(curve: AgreementCurve, secret: Secret): KeyObject | null {
  const bytes = secretBytes(secret);
  if (bytes.byteLength !== AGREEMENT_SECRET_BYTES) {
    throw new RangeError(`secret must be ${AGREEMENT_SECRET_BYTES} bytes, but is ${bytes.byteLength}`);
  }
  if (curve === 'P-256' && (ZERO.equals(bytes) || P256_ORDER.compare(bytes) <= 0)) return null;
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

function publicKey(curve: AgreementCurve, bytes: Uint8Array): KeyObject | null {
  if (bytes.byteLength !== AGREEMENT_PUBLIC_BYTES[curve]) return null;
  try {
    return createPublicKey({ key: Buffer.concat([PREFIXES[curve].spki, bytes]), format: 'der', type: 'spki' });
  } catch {
    return null;
  }
}
