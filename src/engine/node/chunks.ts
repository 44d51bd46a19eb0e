import { IV_BYTES } from '../types.js';

/** How a tensor's bytes are cut into chunks, and which IV each chunk has (FORMAT.md §2). Arithmetic only. */

const COUNTER_OFFSET = 8;
export const COUNTER_VALUES = 2 ** 32;

/** Bytes that one piece of work deals with, about: large enough to be worth a message between threads. */
export const PIECE_BYTES = 2 * 1024 * 1024;

/** An empty tensor has one empty chunk. A `chunkSize` of 0 means that all is one chunk (version 1). */
export function chunkCount(length: number, chunkSize: number): number {
  return chunkSize === 0 ? 1 : Math.max(1, Math.ceil(length / chunkSize));
}

/** The longest chunk of a tensor. */
export function longestChunk(length: number, chunkSize: number): number {
  return chunkSize === 0 ? length : Math.min(length, chunkSize);
}

/** Whether the IV's counter reaches the last of `count` chunks without overflowing. */
export function counterHasRoom(baseIv: Uint8Array, count: number): boolean {
  return counterOf(baseIv) + count <= COUNTER_VALUES;
}

/** Writes `base_iv[0..8] ‖ be32(be32(base_iv[8..12]) + chunk)` to `target`. The counter must have room. */
export function writeChunkIv(baseIv: Uint8Array, chunk: number, target: Uint8Array): void {
  target.set(baseIv.subarray(0, IV_BYTES));
  new DataView(target.buffer, target.byteOffset).setUint32(COUNTER_OFFSET, counterOf(baseIv) + chunk);
}

/** Sets the counter of a base IV. */
export function setCounter(baseIv: Uint8Array, counter: number): void {
  new DataView(baseIv.buffer, baseIv.byteOffset).setUint32(COUNTER_OFFSET, counter);
}

function counterOf(iv: Uint8Array): number {
  return new DataView(iv.buffer, iv.byteOffset).getUint32(COUNTER_OFFSET);
}
