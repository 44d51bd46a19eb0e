import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { step } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { TAG_BYTES } from '../../format/vocabulary.js';
import type { Cipher, Opener, Sealer } from './primitives.js';
import { keyMemory } from './secret.js';

type Bytes = Uint8Array<ArrayBuffer>;

const NOTHING = new Uint8Array(0);

interface Whole {
  ciphertext: Uint8Array;
  tag: Uint8Array;
}
type SealWhole = (iv: Bytes, plaintext: Bytes) => Twin<Whole>;
/** `stored` is ciphertext, then tag. Null if the tag does not match. */
type OpenWhole = (iv: Bytes, stored: Bytes, additional: Uint8Array | undefined) => Twin<Uint8Array | null>;

/** For runtimes without ChaCha20-Poly1305 of their own. */
export function chachaInJavaScript(key: Bytes): Cipher {
  return wholeMessages(
    (iv, plaintext) => immediately(() => splitTag(chacha20poly1305(key, iv).encrypt(plaintext).buffer)),
    (iv, stored, additional) =>
      immediately(() => {
        try {
          return chacha20poly1305(key, iv, additional).decrypt(stored);
        } catch {
          return null;
        }
      }),
  );
}

function immediately<Result>(work: () => Result): Twin<Result> {
  return step(work, () => Promise.resolve(work()));
}

/** Ciphertext, then tag, as most libraries give them. */
export function splitTag(stored: ArrayBuffer): Whole {
  const end = stored.byteLength - TAG_BYTES;
  return { ciphertext: new Uint8Array(stored, 0, end), tag: new Uint8Array(stored, end) };
}

/** A cipher that takes each message whole: its parts are put together first. */
export function wholeMessages(seal: SealWhole, open: OpenWhole): Cipher {
  return {
    sealer(iv): Sealer {
      const parts = new Parts();
      return {
        update: (plaintext) => parts.add(plaintext),
        finish: () => parts.whole((message) => seal(iv, message)),
      };
    },
    opener(iv, tag, additional): Opener {
      const parts = new Parts();
      return {
        update: (ciphertext) => parts.add(ciphertext),
        finish: () => {
          parts.add(tag);
          return parts.whole((message) => open(iv, message, additional));
        },
      };
    },
  };
}

/** Copies of parts, which may be plaintext. */
class Parts {
  #parts: Bytes[] = [];

  add(part: Uint8Array): Uint8Array {
    this.#parts.push(Uint8Array.from(part));
    return NOTHING;
  }

  *whole<Result>(work: (message: Bytes) => Twin<Result>): Twin<Result> {
    const message = keyMemory(this.#parts.reduce((sum, part) => sum + part.byteLength, 0));
    let at = 0;
    for (const part of this.#parts) {
      message.set(part, at);
      at += part.byteLength;
      part.fill(0);
    }
    this.#parts = [];
    try {
      return yield* work(message);
    } finally {
      message.fill(0);
    }
  }
}
