import { breathe, ITEMS_PER_BREATH } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { AEAD_KEY_BYTES, IV_BYTES, TAG_BYTES, wrappedDekBytes } from '../../format/vocabulary.js';
import type { AeadAlgorithm } from '../../format/vocabulary.js';
import { passWhole } from './primitives.js';
import type { Bytes, Primitives } from './primitives.js';
import { keyMemory } from './secret.js';

/* IVs, and data keys under a master key (FORMAT.md §2). */

const COUNTER_OFFSET = 8;
export const COUNTER_VALUES = 2 ** 32;

/** The longest message that the algorithm's block counter allows (NIST SP 800-38D §5.2.1.1, RFC 8439 §2.8). */
export function maxMessageBytes(algorithm: AeadAlgorithm): number {
  return algorithm === 'chacha20poly1305' ? (2 ** 32 - 1) * 64 : 2 ** 36 - 32;
}

/** The counter that a base IV begins with. */
export function counterOf(baseIv: Uint8Array): number {
  return new DataView(baseIv.buffer, baseIv.byteOffset).getUint32(COUNTER_OFFSET);
}

/** The same IV with another counter. For chunk `i` of a tensor it is that of the base IV plus `i`. */
export function withCounter(baseIv: Uint8Array, value: number): Bytes {
  const iv = Uint8Array.from(baseIv);
  new DataView(iv.buffer).setUint32(COUNTER_OFFSET, value);
  return iv;
}

/** The `size` bytes of entry `index` in a packed array. */
export function slot<Memory extends ArrayBufferLike>(
  bytes: Uint8Array<Memory>,
  index: number,
  size: number,
): Uint8Array<Memory> {
  return bytes.subarray(index * size, (index + 1) * size);
}

/** Wraps each of the concatenated DEKs under an IV of its own: rows of DEK, IV and tag. */
export function* wrapDeks(
  primitives: Primitives,
  algorithm: AeadAlgorithm,
  master: Bytes,
  deks: Uint8Array,
): Twin<Bytes> {
  const size = keyBytes(algorithm, master);
  const rowBytes = wrappedDekBytes(algorithm);
  ensure(deks.byteLength % size === 0, "the data keys' length does not fit the algorithm");
  const rows = new Uint8Array((deks.byteLength / size) * rowBytes);
  const cipher = yield* primitives.cipher(algorithm, master);
  for (let i = 0; i < deks.byteLength / size; i++) {
    if (i % ITEMS_PER_BREATH === 0) yield* breathe();
    const iv = primitives.randomFill(new Uint8Array(IV_BYTES));
    const sealed = (yield* passWhole(cipher.sealer(iv), slot(deks, i, size)))!;
    const row = slot(rows, i, rowBytes);
    row.set(sealed.subarray(0, size));
    row.set(iv, size);
    row.set(sealed.subarray(size), size + IV_BYTES);
  }
  return rows;
}

/** The concatenated DEKs, or the first row that does not unwrap. `rows` must be private memory. */
export function* unwrapDeks(
  primitives: Primitives,
  algorithm: AeadAlgorithm,
  master: Bytes,
  rows: Bytes,
): Twin<Bytes | number> {
  const size = keyBytes(algorithm, master);
  const rowBytes = wrappedDekBytes(algorithm);
  ensure(rows.byteLength % rowBytes === 0, 'the wrapped data keys do not come in whole rows');
  const cipher = yield* primitives.cipher(algorithm, master);
  const deks = keyMemory((rows.byteLength / rowBytes) * size);
  let done = 0;
  try {
    for (; done < rows.byteLength / rowBytes; done++) {
      if (done % ITEMS_PER_BREATH === 0) yield* breathe();
      const row = slot(rows, done, rowBytes);
      const opener = cipher.opener(row.subarray(size, size + IV_BYTES), row.subarray(rowBytes - TAG_BYTES));
      const dek = yield* passWhole(opener, row.subarray(0, size));
      if (dek === null) return done;
      deks.set(dek, done * size);
      dek.fill(0);
    }
    return deks;
  } finally {
    if (done * rowBytes < rows.byteLength) deks.fill(0);
  }
}

/** @throws RangeError */
export function ensure(condition: boolean, problem: string): void {
  if (!condition) throw new RangeError(problem);
}

function keyBytes(algorithm: AeadAlgorithm, master: Uint8Array): number {
  const size = AEAD_KEY_BYTES[algorithm];
  ensure(master.byteLength === size, "the master key's length does not fit the algorithm");
  return size;
}
