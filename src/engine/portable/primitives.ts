import type { Twin } from '../../twin.js';
import type { EngineFacts } from '../types.js';
import type { AeadAlgorithm, AgreementCurve, DigestAlgorithm } from '../../format/vocabulary.js';

/**
 * The cryptography that the portable engine stands on. A `Twin` can be run blocking where the implementation can block;
 * one on Web Crypto throws `NativeUnavailable` then.
 */
export interface Primitives {
  /** What serves each algorithm, for `engineInfo()`. */
  readonly aead: EngineFacts['aead'];
  readonly openssl: string | null;
  /** Fills `bytes` from the CSPRNG and gives them back. */
  randomFill<Bytes extends Uint8Array<ArrayBuffer>>(bytes: Bytes): Bytes;
  /** The cipher may go on reading `key`, which the caller wipes once the cipher is done with. */
  cipher(algorithm: AeadAlgorithm, key: Uint8Array<ArrayBuffer>): Twin<Cipher>;
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
  sealer(iv: Uint8Array<ArrayBuffer>): Sealer;
  opener(iv: Uint8Array<ArrayBuffer>, tag: Uint8Array<ArrayBuffer>, additional?: Uint8Array): Opener;
}

/**
 * One message on its way through a cipher, part by part. What comes out is memory of its own, in order; an implementation
 * that takes messages whole gives it all at the end. The parts may change after `update` has returned.
 */
export interface Sealer {
  update(plaintext: Uint8Array): Uint8Array;
  finish(): Twin<{ ciphertext: Uint8Array; tag: Uint8Array }>;
}
export interface Opener {
  /** Nothing of what comes out is verified before `finish` has returned. */
  update(ciphertext: Uint8Array): Uint8Array;
  /** The rest of the plaintext, or null if the tag does not match. */
  finish(): Twin<Uint8Array | null>;
}

/** A digest in the making. */
export interface Hasher {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

/** Encrypts a small message. */
export function* sealMessage(
  cipher: Cipher,
  iv: Uint8Array<ArrayBuffer>,
  message: Uint8Array,
): Twin<{ ciphertext: Uint8Array; tag: Uint8Array }> {
  const sealer = cipher.sealer(iv);
  const begun = sealer.update(message);
  const { ciphertext: rest, tag } = yield* sealer.finish();
  const ciphertext = new Uint8Array(message.byteLength);
  ciphertext.set(begun);
  ciphertext.set(rest, begun.byteLength);
  return { ciphertext, tag };
}

/** Decrypts a small message into `target`. False, with `target` untouched, if the tag does not match. */
export function* openMessage(
  cipher: Cipher,
  iv: Uint8Array<ArrayBuffer>,
  { ciphertext, tag, additional }: { ciphertext: Uint8Array; tag: Uint8Array<ArrayBuffer>; additional?: Uint8Array },
  target: Uint8Array,
): Twin<boolean> {
  const opener = cipher.opener(iv, tag, additional);
  const begun = opener.update(ciphertext);
  try {
    const rest = yield* opener.finish();
    if (rest === null) return false;
    target.set(begun);
    target.set(rest, begun.byteLength);
    rest.fill(0);
    return true;
  } finally {
    begun.fill(0);
  }
}
