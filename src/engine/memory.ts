/**
 * JavaScript memory that other threads may work on.
 *
 * A pointer into JavaScript's memory is good until JavaScript runs again: any line of code can transfer an `ArrayBuffer`, shrink
 * a resizable one or grow a WebAssembly memory, and what was there is unmapped. Threads that work while JavaScript runs therefore
 * get memory of two kinds only: *shared* memory, which never goes away while somebody refers to it, and *private* memory, an
 * `ArrayBuffer` that no code outside the library has a reference to. docs/security-memory.md says which it is per entry point.
 *
 * What is asked of buffers and views here is asked by the language's own getters, as they were when the library was loaded:
 * a subclass may answer what it likes, and a species would be handed the buffer.
 */
import { CryptoTensorsError } from '../errors.js';
import { EngineFault } from './fault.js';

const { ArrayBuffer, Uint8Array, DataView, structuredClone } = globalThis;
/** Not there in a page that is not isolated from other origins. */
const { SharedArrayBuffer } = globalThis as { SharedArrayBuffer?: SharedArrayBufferConstructor };

type Getter<Value> = (target: object) => Value;

function getterOf<Value>(prototype: object, name: string | symbol): Getter<Value> {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, name) as { readonly get: () => unknown };
  const read = descriptor.get;
  return (target) => Reflect.apply(read, target, []) as Value;
}

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
const arrayGetters = gettersOf(typedArray);
const { at } = typedArray as { at: (index: number) => unknown };
const firstElement = (array: object): unknown => Reflect.apply(at, array, [0]);
const dataViewGetters = gettersOf(DataView.prototype);
const bufferLength = getterOf<number>(ArrayBuffer.prototype, 'byteLength');
const sharedLength =
  SharedArrayBuffer === undefined
    ? (): never => {
        throw new TypeError('there is no shared memory here');
      }
    : getterOf<number>(SharedArrayBuffer.prototype, 'byteLength');
/** Of a typed array its name; undefined of anything else, a `DataView` too. */
const arrayName = getterOf<string | undefined>(typedArray, Symbol.toStringTag);
const isResizableBuffer = getterOf<boolean>(ArrayBuffer.prototype, 'resizable');

function gettersOf(prototype: object) {
  return {
    buffer: getterOf<ArrayBufferLike>(prototype, 'buffer'),
    byteOffset: getterOf<number>(prototype, 'byteOffset'),
    byteLength: getterOf<number>(prototype, 'byteLength'),
  };
}

/** Whatever realm it is of: the language's getters know their own kind, where `instanceof` does not. */
function knows(read: (target: object) => unknown, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  try {
    read(value);
    return true;
  } catch {
    return false;
  }
}

function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return knows(bufferLength, value);
}

function isSharedBuffer(value: unknown): value is SharedArrayBuffer {
  return knows(sharedLength, value);
}

function isDataView(view: ArrayBufferView): view is DataView {
  return arrayName(view) === undefined;
}

/** Memory as callers give it. */
export type Memory = ArrayBufferLike | ArrayBufferView;

export function isMemory(value: unknown): value is Memory {
  return ArrayBuffer.isView(value) || isArrayBuffer(value) || isSharedBuffer(value);
}

/** Buffers that nothing outside the library refers to. */
const privateBuffers = new WeakSet<ArrayBufferLike>();

/** The buffer under some memory, asked of the language. */
export function bufferOf(memory: Memory): ArrayBufferLike {
  if (!ArrayBuffer.isView(memory)) return memory;
  return isDataView(memory) ? dataViewGetters.buffer(memory) : arrayGetters.buffer(memory);
}

/**
 * The bytes of some memory, by a view that is nothing but a `Uint8Array`.
 *
 * @param limit of a buffer that is longer than a typed array can be, as many bytes are seen
 * @returns null if the memory has been transferred away
 */
export function bytesOf(memory: Memory, limit = Infinity): Uint8Array | null {
  const buffer = bufferOf(memory);
  try {
    if (!ArrayBuffer.isView(memory)) return new Uint8Array(buffer, 0, Math.min(byteLengthOf(buffer), limit));
    if (!isDataView(memory)) {
      return new Uint8Array(buffer, arrayGetters.byteOffset(memory), arrayGetters.byteLength(memory));
    }
    return new Uint8Array(buffer, dataViewGetters.byteOffset(memory), dataViewGetters.byteLength(memory));
  } catch {
    // Neither the constructor nor the getters of a DataView accept what is detached.
    return null;
  }
}

/** Of any realm. */
function isRangeError(cause: unknown): cause is RangeError {
  return (cause as Partial<RangeError> | null)?.name === 'RangeError';
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
    if (!isRangeError(cause)) throw cause;
    throw new CryptoTensorsError(
      'OutOfMemory',
      `${byteLength} bytes of memory could not be had in one piece: ${cause.message}. Read fewer tensors at once, or one in slices`,
      { expected: `${byteLength} bytes`, cause },
    );
  }
}

function byteLengthOf(buffer: ArrayBufferLike): number {
  return isSharedBuffer(buffer) ? sharedLength(buffer) : bufferLength(buffer);
}

/**
 * Part of some bytes, by a plain view. Not `subarray`, which asks the species.
 *
 * @throws {CryptoTensorsError} `Detached`
 */
export function part(bytes: Uint8Array, start: number, length: number): Uint8Array {
  const buffer = arrayGetters.buffer(bytes);
  if (isDetached(buffer)) {
    throw new CryptoTensorsError('Detached', 'memory was transferred away while it was being worked on');
  }
  return new Uint8Array(buffer, arrayGetters.byteOffset(bytes) + start, length);
}

/** Whether it was transferred away, or, for a view, shrunk away. Of an empty view too. */
export function isDetached(memory: Memory): boolean {
  try {
    if (!ArrayBuffer.isView(memory)) new Uint8Array(memory, 0, 0);
    else if (isDataView(memory)) dataViewGetters.byteLength(memory);
    else firstElement(memory);
    return false;
  } catch {
    // All three refuse memory that is not there.
    return true;
  }
}

export function isShared(memory: Memory): boolean {
  return isSharedBuffer(bufferOf(memory));
}

export function isResizable(memory: Memory): boolean {
  const buffer = bufferOf(memory);
  return isArrayBuffer(buffer) && isResizableBuffer(buffer);
}

/** Whether threads may work on it while JavaScript runs. Of nothing there is nothing to be taken away. */
export function isSafe(memory: Memory): boolean {
  if (bytesOf(memory)?.byteLength === 0 && !isDetached(memory)) return true;
  return isShared(memory) || privateBuffers.has(bufferOf(memory));
}

/** Marks memory that the library made and has shown to nobody. @returns it */
export function keepPrivate<Bytes extends Uint8Array>(bytes: Bytes): Bytes {
  privateBuffers.add(bufferOf(bytes));
  return bytes;
}

/** To be called before private memory is handed out: from then on it is anybody's. */
export function letOut(bytes: Uint8Array): void {
  privateBuffers.delete(bufferOf(bytes));
}

/**
 * Takes a caller's memory over: the whole buffer moves to a new one, which nobody else has, and the caller's is empty from then on.
 *
 * @returns the same bytes, in private memory; null if they cannot be moved: memory of WebAssembly, resizable memory, memory that is
 * marked as untransferable, such as the pool of small `Buffer`s
 */
export function takeOver(bytes: Uint8Array): Uint8Array | null {
  const buffer = bufferOf(bytes);
  if (isResizable(buffer) || isSharedBuffer(buffer)) return null;
  const byteOffset = arrayGetters.byteOffset(bytes);
  const byteLength = arrayGetters.byteLength(bytes);
  let taken: ArrayBuffer;
  try {
    // Not ArrayBuffer.prototype.transfer: that of Node.js 22 empties what is marked as untransferable.
    taken = structuredClone(buffer, { transfer: [buffer] });
  } catch {
    return null;
  }
  // Node.js 20 copies what is marked as untransferable.
  if (!isDetached(buffer)) return null;
  return keepPrivate(new Uint8Array(taken, byteOffset, byteLength));
}

/**
 * Refuses memory that could go away under a job that runs while JavaScript does. Of no bytes nothing can: no thread touches them.
 *
 * @throws EngineFault `InvalidOption`
 */
export function checkSafe(bytes: Uint8Array, name: string): void {
  if (arrayGetters.byteLength(bytes) === 0 || isSafe(bytes)) return;
  throw new EngineFault(
    'InvalidOption',
    `${name} is memory that could be taken away meanwhile: it must be shared, or the library's own`,
  );
}

/**
 * Refuses memory that can shrink, in any form.
 *
 * @throws EngineFault `InvalidOption`
 */
export function checkMemory(bytes: Uint8Array): void {
  if (!isResizable(bytes)) return;
  throw new EngineFault(
    'InvalidOption',
    'a resizable ArrayBuffer cannot be worked on: it could shrink meanwhile. Use one of fixed length',
  );
}
