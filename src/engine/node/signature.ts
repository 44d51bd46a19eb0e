import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { Secret } from '../types.js';
import { keyMemory, secretBytes } from './secret.js';

/** Ed25519 (RFC 8032, pure) on node:crypto, which wants keys in DER. */

const SEED_BYTES = 32;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** What stands before the 32 bytes of a seed in PKCS #8, and before those of a public key in SPKI (RFC 8410). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

const verifyInThreadPool = promisify(verify);

export function ed25519PublicKey(seed: Secret): Uint8Array {
  const der = createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' });
  return Uint8Array.from(der.subarray(SPKI_PREFIX.length));
}

export function ed25519Sign(seed: Secret, message: Uint8Array): Uint8Array {
  return Uint8Array.from(sign(null, message, privateKey(seed)));
}

export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = verifyingKey(publicKey, signature);
  return key !== null && verify(null, message, key, signature);
}

export async function ed25519VerifyAsync(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const key = verifyingKey(publicKey, signature);
  return key !== null && verifyInThreadPool(null, message, key, signature);
}

function privateKey(seed: Secret): KeyObject {
  const bytes = secretBytes(seed, 'seed');
  if (bytes.byteLength !== SEED_BYTES)
    throw new RangeError(`seed must be ${SEED_BYTES} bytes, but is ${bytes.byteLength}`);
  const der = keyMemory(PKCS8_PREFIX.length + SEED_BYTES);
  der.set(PKCS8_PREFIX);
  der.set(bytes, PKCS8_PREFIX.length);
  try {
    return createPrivateKey({ key: Buffer.from(der.buffer), format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

/** Null for 32 bytes that are no public key. */
function verifyingKey(publicKey: Uint8Array, signature: Uint8Array): KeyObject | null {
  checkLength(publicKey, 'publicKey', PUBLIC_KEY_BYTES);
  checkLength(signature, 'signature', SIGNATURE_BYTES);
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
  } catch {
    return null;
  }
}

function checkLength(bytes: Uint8Array, name: string, expected: number): void {
  if (bytes.byteLength !== expected)
    throw new RangeError(`${name} must be ${expected} bytes, but is ${bytes.byteLength}`);
}
