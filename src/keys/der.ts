import { hasOwn } from '../options.js';
/**
 * The few forms of ASN.1 in DER that PEM keys have: SubjectPublicKeyInfo (RFC 5280) and PrivateKeyInfo (RFC 5208, RFC 5958), for the
 * algorithms of RFC 8410 and for EC keys on P-256 (RFC 5480, RFC 5915). Nothing is copied: what is found is a view.
 */

const TAG = { integer: 0x02, bitString: 0x03, octetString: 0x04, oid: 0x06, sequence: 0x30 } as const;

export type DerAlgorithm = 'Ed25519' | 'X25519' | 'P-256';

const ED25519 = '2b6570';
const X25519 = '2b656e';
const EC = '2a8648ce3d0201';
const P256 = '2a8648ce3d030107';
/** Others that people have, by what they are called. */
const OTHERS: ReadonlyMap<string, string> = new Map([
  ['2a864886f70d010101', 'RSA'],
  ['2a864886f70d01010a', 'RSA-PSS'],
  ['2b6571', 'Ed448'],
  ['2b656f', 'X448'],
  ['2b81040022', 'P-384'],
  ['2b81040023', 'P-521'],
  ['2b8104000a', 'secp256k1'],
]);

/** A key, or why it is none for this library. */
export type DerKey = { algorithm: DerAlgorithm; bytes: Uint8Array } | { problem: string };

/** @returns the 32 bytes of a private key: a seed, or a scalar */
export function readPrivateKeyInfo(der: Uint8Array): DerKey {
  try {
    const info = whole(der);
    if (!isVersion(info.take(TAG.integer))) return { problem: NO_PKCS8 };
    const algorithm = readAlgorithm(info.enter(TAG.sequence));
    if (hasOwn(algorithm, 'problem')) return algorithm;
    const inner = new DerReader(info.take(TAG.octetString));
    if (algorithm.algorithm !== 'P-256') return { ...algorithm, bytes: ofLength(inner.take(TAG.octetString), 32) };
    const ec = inner.enter(TAG.sequence);
    ec.take(TAG.integer);
    return { ...algorithm, bytes: ofLength(ec.take(TAG.octetString), 32) };
  } catch {
    return { problem: NO_PKCS8 };
  }
}

/** @returns the bytes of a public key: 32, of P-256 64 */
export function readPublicKeyInfo(der: Uint8Array): DerKey {
  try {
    const info = whole(der);
    const algorithm = readAlgorithm(info.enter(TAG.sequence));
    if (hasOwn(algorithm, 'problem')) return algorithm;
    const bits = info.take(TAG.bitString);
    if (bits[0] !== 0) return { problem: NO_SPKI };
    if (algorithm.algorithm !== 'P-256') return { ...algorithm, bytes: ofLength(bits.subarray(1), 32) };
    if (bits[1] === 2 || bits[1] === 3) {
      return { problem: 'its point is compressed: write it by `openssl ec -conv_form uncompressed`' };
    }
    return bits[1] === 4 ? { ...algorithm, bytes: ofLength(bits.subarray(2), 64) } : { problem: NO_SPKI };
  } catch {
    return { problem: NO_SPKI };
  }
}

const NO_PKCS8 = 'it is not the PKCS#8 form of a key';
const NO_SPKI = 'it is not the SPKI form of a key';

function readAlgorithm(sequence: DerReader): { algorithm: DerAlgorithm } | { problem: string } {
  let oid = hex(sequence.take(TAG.oid));
  if (oid === ED25519) return { algorithm: 'Ed25519' };
  if (oid === X25519) return { algorithm: 'X25519' };
  if (oid === EC) oid = hex(sequence.take(TAG.oid));
  if (oid === P256) return { algorithm: 'P-256' };
  const name = OTHERS.get(oid) ?? 'another algorithm';
  return { problem: `it is a key of ${name}, and Ed25519, X25519 and P-256 are read` };
}

/** What is in the one sequence that the bytes are. */
function whole(der: Uint8Array): DerReader {
  const reader = new DerReader(der);
  const content = reader.enter(TAG.sequence);
  if (!reader.isAtEnd) throw new RangeError('more than a sequence');
  return content;
}

/** RFC 5958: v1, or v2 where a public key comes along. */
function isVersion(bytes: Uint8Array): boolean {
  return bytes.length === 1 && bytes[0]! <= 1;
}

function ofLength(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length === length) return bytes;
  throw new RangeError('another length');
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One value after the other. What does not fit is a RangeError. */
class DerReader {
  #at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  take(tag: number): Uint8Array {
    if (this.bytes[this.#at] !== tag) throw new RangeError('another tag');
    let length = this.bytes[this.#at + 1] ?? 0;
    let start = this.#at + 2;
    if (length > 0x80) {
      const count = length - 0x80;
      if (count > 2) throw new RangeError('too long');
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + (this.bytes[start++] ?? 0);
    } else if (length === 0x80) {
      throw new RangeError('of no stated length');
    }
    const end = start + length;
    if (end > this.bytes.length) throw new RangeError('cut off');
    this.#at = end;
    return this.bytes.subarray(start, end);
  }

  get isAtEnd(): boolean {
    return this.#at === this.bytes.length;
  }

  enter(tag: number): DerReader {
    return new DerReader(this.take(tag));
  }
}
