/**
 * The format's own words and numbers, once: algorithms, lengths in bytes, reserved keys, rows of numbers. Whoever adds an
 * algorithm or a reserved key begins here.
 */

/** AEADs of the format (FORMAT.md §2), in normal form. */
export const AEAD_ALGORITHMS = ['aes128gcm', 'aes256gcm', 'chacha20poly1305'] as const;
export type AeadAlgorithm = (typeof AEAD_ALGORITHMS)[number];

/** Digests of `__integrity__` (FORMAT.md §5). */
export const DIGEST_ALGORITHMS = ['sha256', 'blake3'] as const;
export type DigestAlgorithm = (typeof DIGEST_ALGORITHMS)[number];

/** Curves of key agreement, as JWKs name them: X25519 (RFC 7748) and ECDH over P-256. */
export const AGREEMENT_CURVES = ['X25519', 'P-256'] as const;
export type AgreementCurve = (typeof AGREEMENT_CURVES)[number];

/** Key length of each AEAD, in bytes; a data key (DEK) has the length of its master key's algorithm. */
export const AEAD_KEY_BYTES: Readonly<Record<AeadAlgorithm, number>> = {
  aes128gcm: 16,
  aes256gcm: 32,
  chacha20poly1305: 32,
};
/** IV of every AEAD here: 96 bits (NIST SP 800-38D §5.2.1.1, RFC 8439 §2.8). */
export const IV_BYTES = 12;
/** Authentication tag of every AEAD here. */
export const TAG_BYTES = 16;
/** SHA-256 and BLAKE3. */
export const DIGEST_BYTES = 32;
/** Ed25519 (RFC 8032 §5.1.6). */
export const SIGNATURE_BYTES = 64;
/** Bytes of a private key of key agreement, and of what is agreed on. */
export const AGREEMENT_SECRET_BYTES = 32;
/** Bytes of a public key of key agreement: RFC 8037's `x`; `x` and `y`. */
export const AGREEMENT_PUBLIC_BYTES: Readonly<Record<AgreementCurve, number>> = { X25519: 32, 'P-256': 64 };

/** Bytes of a wrapped DEK: as many as the key has, then the IV, then the tag. */
export function wrappedDekBytes(algorithm: AeadAlgorithm): number {
  return AEAD_KEY_BYTES[algorithm] + IV_BYTES + TAG_BYTES;
}

/** Keys of `__metadata__` that are the format's own, and this library's. */
export const Reserved = {
  encryption: '__encryption__',
  cryptoKeys: '__crypto_keys__',
  policy: '__policy__',
  signature: '__signature__',
  integrity: '__integrity__',
  license: '__license__',
  model: '__model__',
} as const;

/** The four that every encrypted file has. */
export const ENCRYPTED_FILE_KEYS = [
  Reserved.encryption,
  Reserved.cryptoKeys,
  Reserved.policy,
  Reserved.signature,
] as const;

/** Numbers per encrypted tensor in `RecordScan.records`. */
export const RECORD_STRIDE = 11;
/** Numbers per digested tensor in `IntegrityScan.records`. */
export const DIGEST_STRIDE = 3;
/** Numbers per copy of a read plan. */
export const COPY_STRIDE = 4;

/** Chunks of a tensor; an empty tensor has one, and so has every tensor where the chunk size is 0 (version 1). */
export function chunkCount(byteLength: number, chunkSize: number): number {
  return chunkSize === 0 ? 1 : Math.max(1, Math.ceil(byteLength / chunkSize));
}
