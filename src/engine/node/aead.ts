import { createCipheriv, createDecipheriv } from 'node:crypto';
import type { CipherGCM, DecipherGCM } from 'node:crypto';
import { TAG_BYTES } from '../types.js';
import type { AeadAlgorithm } from '../types.js';

const CIPHERS = { aes128gcm: 'aes-128-gcm', aes256gcm: 'aes-256-gcm', chacha20poly1305: 'chacha20-poly1305' } as const;

/** Shorter tags than the format's are refused rather than compared as far as they go. */
const OPTIONS = { authTagLength: TAG_BYTES };

/** The longest message that the algorithm's block counter allows (NIST SP 800-38D §5.2.1.1, RFC 8439 §2.8). */
export function maxMessageBytes(algorithm: AeadAlgorithm): number {
  return algorithm === 'chacha20poly1305' ? (2 ** 32 - 1) * 64 : 2 ** 36 - 32;
}

/** AAD is empty everywhere (FORMAT.md §2). */
export function createSealer(algorithm: AeadAlgorithm, key: Uint8Array, iv: Uint8Array): CipherGCM {
  return createCipheriv(cipherName(algorithm), key, iv, OPTIONS);
}

/** What `update` gives is not to be trusted before `final` has returned. */
export function createOpener(algorithm: AeadAlgorithm, key: Uint8Array, iv: Uint8Array, tag: Uint8Array): DecipherGCM {
  return createDecipheriv(cipherName(algorithm), key, iv, OPTIONS).setAuthTag(tag);
}

/** The types of node:crypto know each cipher by itself only; GCM's fit all three. */
function cipherName(algorithm: AeadAlgorithm): 'aes-256-gcm' {
  return CIPHERS[algorithm] as 'aes-256-gcm';
}

/** Encrypts a small message. */
export function sealMessage(
  algorithm: AeadAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  message: Uint8Array,
): { ciphertext: Uint8Array; tag: Uint8Array } {
  const sealer = createSealer(algorithm, key, iv);
  const ciphertext = sealer.update(message);
  sealer.final();
  return { ciphertext, tag: sealer.getAuthTag() };
}

/** Decrypts a small message into `target`. False, with `target` untouched, if the tag does not match. */
export function openMessage(
  algorithm: AeadAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  message: { ciphertext: Uint8Array; tag: Uint8Array },
  target: Uint8Array,
): boolean {
  const opener = createOpener(algorithm, key, iv, message.tag);
  const plaintext = opener.update(message.ciphertext);
  try {
    opener.final();
    target.set(plaintext);
    return true;
  } catch {
    return false;
  } finally {
    plaintext.fill(0);
  }
}
