import { EngineFault } from '../fault.js';
import { checkMemory, isDetached } from '../memory.js';
import { AEAD_KEY_BYTES } from '../../format/vocabulary.js';

/** Checks of what the types promise, as the native engine makes them: of another realm's arrays too. */

type ArrayName = 'Uint8Array' | 'Float64Array' | 'Int32Array';

/** Its getter looks at what an object is, and so cannot be misled by the object's properties. */
const TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype) as object;

function check(value: unknown, type: ArrayName, name: string): void {
  if (Reflect.get(TYPED_ARRAY, Symbol.toStringTag, value) !== type) throw new TypeError(`${name} must be a ${type}`);
}

export function checkBytes(value: unknown, name: string): asserts value is Uint8Array {
  check(value, 'Uint8Array', name);
}

/** Bytes that a job works on: they must not go away meanwhile. */
export function checkJobBytes(value: unknown, name: string): asserts value is Uint8Array {
  checkBytes(value, name);
  checkMemory(value);
}

/**
 * To be asked again after every turn of the event loop, and after every call of the caller's functions.
 *
 * @throws EngineFault `Detached`
 */
export function checkPresent(bytes: Uint8Array, name: string): void {
  if (!isDetached(bytes)) return;
  throw new EngineFault('Detached', `the memory of ${name} was transferred or resized before it was used`);
}

export function checkFloat64(value: unknown, name: string): asserts value is Float64Array {
  check(value, 'Float64Array', name);
}

export function checkInt32(value: unknown, name: string): asserts value is Int32Array {
  check(value, 'Int32Array', name);
}

export function checkAeadAlgorithm(value: unknown): void {
  if (typeof value === 'string' && Object.hasOwn(AEAD_KEY_BYTES, value)) return;
  throw new TypeError(`algorithm must be ${Object.keys(AEAD_KEY_BYTES).join(' or ')}`);
}

export function checkDigestAlgorithm(value: unknown): void {
  if (value !== 'sha256' && value !== 'blake3') throw new TypeError('algorithm must be sha256 or blake3');
}

export function checkLength(bytes: Uint8Array, name: string, expected: number): void {
  if (bytes.byteLength !== expected) {
    throw new RangeError(`${name} must be ${expected} bytes, but is ${bytes.byteLength}`);
  }
}

export function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
