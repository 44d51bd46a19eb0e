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
