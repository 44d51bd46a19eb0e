import { IV_BYTES } from '../../format/vocabulary.js';
import type { AeadAlgorithm } from '../../format/vocabulary.js';

/** How a tensor's bytes are cut into chunks, and which IV each chunk has (FORMAT.md §2). Arithmetic only. */

const COUNTER_OFFSET = 8;
export const COUNTER_VALUES = 2 ** 32;

/** The longest message that the algorithm's block counter allows (NIST SP 800-38D §5.2.1.1, RFC 8439 §2.8). */
export function maxMessageBytes(algorithm: AeadAlgorithm): number {
  return algorithm === 'chacha20poly1305' ? (2 ** 32 - 1) * 64 : 2 ** 36 - 32;
}

/** Whether the IV's counter reaches the last of `count` chunks without overflowing. */
export function counterHasRoom(baseIv: Uint8Array, count: number): boolean {
  return counter(baseIv).getUint32(COUNTER_OFFSET) + count <= COUNTER_VALUES;
}

/** `base_iv[0..8] ‖ be32(be32(base_iv[8..12]) + chunk)`. The counter must have room. */
export function chunkIv(baseIv: Uint8Array, chunk: number): Uint8Array<ArrayBuffer> {
  const iv = Uint8Array.from(baseIv.subarray(0, IV_BYTES));
  setCounter(iv, counter(baseIv).getUint32(COUNTER_OFFSET) + chunk);
  return iv;
}

/** Sets the counter of a base IV. */
export function setCounter(baseIv: Uint8Array, value: number): void {
  counter(baseIv).setUint32(COUNTER_OFFSET, value);
}

function counter(iv: Uint8Array): DataView {
  return new DataView(iv.buffer, iv.byteOffset);
}

/** The `size` bytes of entry `index` in a packed array. */
export function slot<Memory extends ArrayBufferLike>(
  bytes: Uint8Array<Memory>,
  index: number,
  size: number,
): Uint8Array<Memory> {
  return bytes.subarray(index * size, (index + 1) * size);
}
