import { timingSafeEqual } from 'node:crypto';
import { DIGEST_BYTES, IV_BYTES, TAG_BYTES } from '../types.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../types.js';
import { createOpener, maxMessageBytes } from './aead.js';
import { createHasher } from './digest.js';
import { EngineFault } from './fault.js';

/** Checks one chunk as it passes through, and decrypts it where it is encrypted. */
export interface Verifier {
  /** The plaintext of the next bytes. Nothing of it is verified before `finish` has returned. */
  update(stored: Uint8Array): Uint8Array;
  /** Whether `update` gives memory of its own, which the caller wipes; else it is what was put in. */
  readonly decrypts: boolean;
  /** @throws EngineFault `BadTag`, `BadDigest`, without the place */
  finish(): void;
}

export const unchecked: Verifier = {
  decrypts: false,
  update: (stored) => stored,
  finish: () => undefined,
};

/** Bytes of `OpenPiece.checks` that a tag takes. */
export const TAG_CHECK_BYTES = IV_BYTES + TAG_BYTES;

/** `check`: IV and tag. */
export function tagVerifier(algorithm: AeadAlgorithm, key: Uint8Array, check: Uint8Array, length: number): Verifier {
  const opener = createOpener(algorithm, key, check.subarray(0, IV_BYTES), check.subarray(IV_BYTES, TAG_CHECK_BYTES));
  const mismatch = () => new EngineFault('BadTag', 'the authentication tag does not match');
  // No such message can have been encrypted.
  if (length > maxMessageBytes(algorithm)) throw mismatch();
  return {
    decrypts: true,
    update: (stored) => opener.update(stored),
    finish: () => {
      try {
        opener.final();
      } catch {
        throw mismatch();
      }
    },
  };
}

export function digestVerifier(algorithm: DigestAlgorithm, expected: Uint8Array): Verifier {
  const hasher = createHasher(algorithm);
  return {
    decrypts: false,
    update: (stored) => {
      hasher.update(stored);
      return stored;
    },
    finish: () => {
      if (!timingSafeEqual(hasher.digest(), expected.subarray(0, DIGEST_BYTES))) {
        throw new EngineFault('BadDigest', 'the digest does not match');
      }
    },
  };
}
