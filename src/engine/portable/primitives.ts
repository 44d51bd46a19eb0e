import type { Twin } from '../../twin.js';
import type { EngineFacts } from '../types.js';
import type { AeadAlgorithm, AgreementCurve, DigestAlgorithm } from '../../format/vocabulary.js';
import { keyMemory } from './secret.js';

export type Bytes = Uint8Array<ArrayBuffer>;

export const NOTHING: Bytes = new Uint8Array(0);

/**
 * The cryptography that the portable engine stands on. A `Twin` can be run blocking where the implementation can block;
 * one on Web Crypto throws `NativeUnavailable` then.
 */
export interface Primitives {
  /** What serves each algorithm, for `engineInfo()`. */
  readonly aead: EngineFacts['aead'];
  readonly openssl: string | null;
  /** Fills `bytes` from the CSPRNG and gives them back. */
  randomFill(bytes: Bytes): Bytes;
  /** The cipher may go on reading `key`, which the caller wipes once the cipher is done with. */
  cipher(algorithm: AeadAlgorithm, key: Bytes): Twin<Cipher>;
  hasher(algorithm: DigestAlgorithm): Hasher;
  /** Ed25519 (RFC 8032, pure); lengths have been checked. */
  ed25519PublicKey(seed: Uint8Array): Uint8Array;
  ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Twin<boolean>;
  /** Null for bytes that are no private key. */
  agreementPublicKey(curve: AgreementCurve, secret: Uint8Array): Uint8Array | null;
  /** Of bytes of the right length. */
  isAgreementKey(curve: AgreementCurve, publicKey: Uint8Array): boolean;
  /** What is agreed on, in memory of its own; null where one of the keys is none. All zeros or null for a peer of small order. */
  agree(curve: AgreementCurve, secret: Uint8Array, peer: Uint8Array): Uint8Array | null;
}

/** An AEAD under one key. Tags are 16 bytes long. The format has no additional data anywhere (FORMAT.md §2); JWEs have. */
export interface Cipher {
  /** What comes out at the end is the rest of the ciphertext, then the tag. */
  sealer(iv: Bytes): Passage;
  /** Nothing of what comes out is verified before the end. */
  opener(iv: Bytes, tag: Bytes, additional?: Uint8Array): Passage;
}

/** One message on its way, part by part. An implementation that takes messages whole gives everything at the end. */
export interface Passage {
  /** What comes out may be what was put in; else it is memory of its own. The caller may change either afterwards. */
  update(bytes: Uint8Array): Uint8Array;
  /** The rest. Null if the message does not pass its check. */
  finish(): Twin<Uint8Array | null>;
}

/** A digest in the making. */
export interface Hasher {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

/** All that comes of a small message, in memory for keys. Null if it does not pass its check. */
export function* passWhole(passage: Passage, message: Uint8Array): Twin<Bytes | null> {
  const begun = passage.update(message);
  const rest = yield* passage.finish();
  const whole = rest && joined([begun, rest]);
  begun.fill(0);
  rest?.fill(0);
  return whole;
}

/** A passage for what can only be done to whole messages. The tag, if there is one, is put behind what comes in. */
export function wholePassage(work: (message: Bytes) => Twin<Uint8Array | null>, tag = NOTHING): Passage {
  // Copies, which may be plaintext.
  const parts: Bytes[] = [];
  return {
    update(part) {
      parts.push(Uint8Array.from(part));
      return NOTHING;
    },
    *finish() {
      const message = joined([...parts, tag]);
      for (const part of parts) part.fill(0);
      try {
        return yield* work(message);
      } finally {
        message.fill(0);
      }
    },
  };
}

/** All parts in one piece of memory, fit for keys. */
export function joined(parts: readonly Uint8Array[]): Bytes {
  const whole = keyMemory(parts.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}

/** The libraries throw for bytes that are no key, and for a wrong tag. */
export function orNull<Result>(work: () => Result): Result | null {
  try {
    return work();
  } catch {
    return null;
  }
}
