import { CryptoTensorsError } from '../errors.js';
import { EngineFault } from './fault.js';

/** Refuses memory that could go away under a job. */
export function checkMemory(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.resizable) {
    throw new EngineFault(
      'InvalidOption',
      'a resizable ArrayBuffer cannot be worked on: it could shrink meanwhile. Use one of fixed length',
    );
  }
}

/**
 * Memory, or an error that says how much was wanted.
 *
 * @throws {CryptoTensorsError} `OutOfMemory` where the runtime or the system has no `byteLength` bytes
 */
export function allocated<Memory>(byteLength: number, make: () => Memory): Memory {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof Error) || cause.name !== 'RangeError') throw cause;
    throw new CryptoTensorsError(
      'OutOfMemory',
      `${byteLength} bytes of memory could not be had in one piece: ${cause.message}. Read fewer tensors at once, or one in slices`,
      { expected: `${byteLength} bytes`, cause },
    );
  }
}
