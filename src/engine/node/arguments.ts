import { types } from 'node:util';
import { checkMemory } from '../memory.js';
import { AEAD_KEY_BYTES } from '../types.js';

/** Checks of what the types promise, as the native engine makes them: of another realm's arrays too. */

export function checkBytes(value: unknown, name: string): asserts value is Uint8Array {
  if (!types.isUint8Array(value)) throw new TypeError(`${name} must be a Uint8Array`);
}

/** Bytes that a job works on: they must not go away meanwhile. */
export function checkJobBytes(value: unknown, name: string): asserts value is Uint8Array {
  checkBytes(value, name);
  checkMemory(value);
}

export function checkFloat64(value: unknown, name: string): asserts value is Float64Array {
  if (!types.isFloat64Array(value)) throw new TypeError(`${name} must be a Float64Array`);
}

export function checkInt32(value: unknown, name: string): asserts value is Int32Array {
  if (!types.isInt32Array(value)) throw new TypeError(`${name} must be an Int32Array`);
}

export function checkAeadAlgorithm(value: unknown): void {
  if (typeof value === 'string' && Object.hasOwn(AEAD_KEY_BYTES, value)) return;
  throw new TypeError(`algorithm must be ${Object.keys(AEAD_KEY_BYTES).join(' or ')}`);
}

export function checkDigestAlgorithm(value: unknown): void {
  if (value !== 'sha256' && value !== 'blake3') throw new TypeError('algorithm must be sha256 or blake3');
}

export function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
