import { PIECE_BYTES } from './chunks.js';
import { EngineFault, relocated } from './fault.js';
import type { Input, Output } from './io.js';

/** What a thread brings to a piece of work. */
export interface Thread {
  readonly inputs: readonly Input[];
  readonly output: Output;
  /** Private memory for stored bytes, valid until the next call. */
  scratch(byteLength: number): Uint8Array;
  /** Says that so many bytes more are done. Throws if the job has been stopped meanwhile. */
  advance(bytes: number): void;
}

/** Bytes that are fed to a cipher at a time: its output is memory of its own every time, so not too much. */
export const PORTION_BYTES = 512 * 1024;

/** Calls `use` with the bounds of portions of `length` bytes, in order. */
export function forEachPortion(length: number, use: (begin: number, end: number) => void): void {
  for (let begin = 0; begin < length; begin += PORTION_BYTES) use(begin, Math.min(begin + PORTION_BYTES, length));
}

/** A thread's private memory, kept from piece to piece. */
export class Scratch {
  #bytes = new Uint8Array(0);
  #used = 0;

  take(byteLength: number): Uint8Array {
    if (byteLength > PIECE_BYTES) throw new EngineFault('InvalidOption', `a piece has at most ${PIECE_BYTES} bytes`);
    if (byteLength > this.#bytes.byteLength) {
      this.wipe();
      this.#bytes = new Uint8Array(byteLength > PORTION_BYTES ? PIECE_BYTES : PORTION_BYTES);
    }
    this.#used = Math.max(this.#used, byteLength);
    return this.#bytes.subarray(0, byteLength);
  }

  /** To be called when a thread goes idle: plaintext passed through here. */
  wipe(): void {
    this.#bytes.fill(0, 0, this.#used);
    this.#used = 0;
  }
}

/** What a chunk failed with, with the place: the tensor, and the chunk where it is the chunk that is wrong. */
export function located(error: unknown, { tensor, chunk }: { tensor: number; chunk: number }): unknown {
  if (!(error instanceof EngineFault) || error.code === 'AbortError') return error;
  const mismatch = error.code === 'BadTag' || error.code === 'BadDigest';
  return relocated(error, { tensor, chunk: mismatch ? chunk : -1 });
}
