import { AEAD_KEY_BYTES } from '../format/vocabulary.js';
import type { AeadAlgorithm } from '../format/vocabulary.js';
import type { MasterKey } from './types.js';

/** `alg` of a master key, normalised, to the format's name: the reference's names and those of RFC 7518 and its ChaCha20 draft. */
const AEAD_NAMES: ReadonlyMap<string, AeadAlgorithm> = new Map([
  ['aes128gcm', 'aes128gcm'],
  ['a128gcm', 'aes128gcm'],
  ['aes256gcm', 'aes256gcm'],
  ['a256gcm', 'aes256gcm'],
  ['chacha20poly1305', 'chacha20poly1305'],
  ['c20p', 'chacha20poly1305'],
]);

/** Names are compared after dropping `-` and lower-casing (FORMAT.md §2). Null for a name that is not an AEAD here. */
export function aeadFromName(name: string): AeadAlgorithm | null {
  return AEAD_NAMES.get(name.replaceAll('-', '').toLowerCase()) ?? null;
}

/** `ed25519` in any case (FORMAT.md §2), and RFC 8037's name for it. */
export function isEd25519Name(name: string): boolean {
  const lower = name.toLowerCase();
  return lower === 'ed25519' || lower === 'eddsa';
}

/** Whether a key may be used with an algorithm: its own `alg`, if it has one, must be that (FORMAT.md §2). */
export function keyFits(key: MasterKey, algorithm: AeadAlgorithm): boolean {
  if (key.algorithm !== null) return key.algorithm === algorithm;
  return key.secret?.byteLength === AEAD_KEY_BYTES[algorithm];
}

/** The algorithm to encrypt with under a key, where nobody names one. */
export function algorithmOf(key: MasterKey): AeadAlgorithm {
  return key.algorithm ?? (key.secret?.byteLength === AEAD_KEY_BYTES.aes128gcm ? 'aes128gcm' : 'aes256gcm');
}
