import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { orNull, wholePassage } from './primitives.js';
import type { Bytes, Cipher } from './primitives.js';

/* eslint-disable require-yield -- Nothing here waits. */

/** For runtimes without ChaCha20-Poly1305 of their own. */
export function chachaInJavaScript(key: Bytes): Cipher {
  return {
    sealer: (iv) =>
      wholePassage(function* (plaintext) {
        return chacha20poly1305(key, iv).encrypt(plaintext);
      }),
    opener: (iv, tag, additional) =>
      wholePassage(function* (stored) {
        return orNull(() => chacha20poly1305(key, iv, additional).decrypt(stored));
      }, tag),
  };
}
