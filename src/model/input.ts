import type { Blob } from 'node:buffer';
import { types } from 'node:util';
import { argumentError } from '../errors.js';
import { bytesOf, isDetached } from '../engine/memory.js';
import type { Memory } from '../engine/memory.js';
import { detachedError } from '../engine/own.js';
import { isUrl, resolvePath } from '../path-argument.js';

/** A file's bytes in memory. */
export type BytesInput = ArrayBufferLike | Uint8Array | DataView;

/** A path or `file:` URL of a file or of a shard index (`*.index.json`), or a file's bytes. A `Blob` is for awaiting forms only. */
export type OpenInput = string | URL | BytesInput | Blob;

/**
 * @returns a path, or a plain view of the bytes
 * @throws {TypeError} if `input` is neither a path nor bytes
 * @throws {CryptoTensorsError} `Detached` for memory that was transferred away
 */
export function resolveInput(input: unknown, name = 'input'): string | Uint8Array {
  if (isBytes(input)) return inputBytes(input, name);
  if (typeof input !== 'string' && !isUrl(input)) {
    throw argumentError(name, 'a path (string or file: URL) or bytes (a Uint8Array, an ArrayBuffer)', input);
  }
  return resolvePath(input, name);
}

/** The same, of what may be a `Blob` too. */
export function resolveModel(input: unknown, name = 'input'): string | Uint8Array | Blob {
  return isBlob(input) ? input : resolveInput(input, name);
}

/** By what it does: that of another realm is one too. */
export function isBlob(value: unknown): value is Blob {
  const { arrayBuffer, slice, size } = (typeof value === 'object' && value !== null ? value : {}) as Partial<Blob>;
  return typeof arrayBuffer === 'function' && typeof slice === 'function' && typeof size === 'number';
}

/** Whether it is memory that holds bytes. Arrays of other elements are not: what their bytes mean depends on the machine. */
export function isBytes(input: unknown): input is BytesInput {
  return types.isUint8Array(input) || types.isAnyArrayBuffer(input) || types.isDataView(input);
}

function inputBytes(input: Memory, name: string): Uint8Array {
  const bytes = isDetached(input) ? null : bytesOf(input);
  if (bytes === null) throw detachedError(name);
  return bytes;
}
