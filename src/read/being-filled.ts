import { CryptoTensorsError } from '../errors.js';
import { bufferOf, isShared } from '../engine/memory.js';
import { option, say } from '../wording.js';

interface Range {
  start: number;
  end: number;
}

/** The parts of shared buffers that reads of this thread are filling. Other memory is taken over, so that nobody else has it. */
const ranges = new WeakMap<ArrayBufferLike, Set<Range>>();

/**
 * Says that a read fills some memory until the function that is returned is called: two that fill the same bytes would decrypt over
 * what the other one has verified.
 *
 * @throws {CryptoTensorsError} `InvalidOption` if another read is filling any of it
 */
export function claimRange(bytes: Uint8Array): () => void {
  if (bytes.byteLength === 0 || !isShared(bytes)) return () => undefined;
  const buffer = bufferOf(bytes);
  const own = { start: bytes.byteOffset, end: bytes.byteOffset + bytes.byteLength };
  const taken = ranges.get(buffer) ?? new Set<Range>();
  for (const { start, end } of taken) {
    if (start >= own.end || own.start >= end) continue;
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('into')}: bytes ${own.start} to ${own.end} of the SharedArrayBuffer overlap bytes ${start} to ${end}, which another read is filling. Wait for that one, or give each read a range of its own`,
      { expected: 'memory that no other read is filling', found: `bytes ${start} to ${end} in use` },
    );
  }
  ranges.set(buffer, taken.add(own));
  return () => void taken.delete(own);
}
