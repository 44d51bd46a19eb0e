import { createHash } from 'node:crypto';
import { blake3 } from '@noble/hashes/blake3.js';
import type { DigestAlgorithm } from '../types.js';
import { checkBytes, checkDigestAlgorithm } from './arguments.js';

/** A digest in the making. */
export interface Hasher {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

/** OpenSSL knows no BLAKE3. */
export function createHasher(algorithm: DigestAlgorithm): Hasher {
  return algorithm === 'sha256' ? createHash('sha256') : blake3.create();
}

export function digest(algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array {
  checkDigestAlgorithm(algorithm);
  checkBytes(bytes, 'bytes');
  const hasher = createHasher(algorithm);
  hasher.update(bytes);
  return Uint8Array.from(hasher.digest());
}
