import { fileURLToPath } from 'node:url';
import { CryptoTensorsError, argumentError } from './errors.js';

/**
 * Checks that apply to every options object. An unknown name is refused: a misspelt `trust` that is silently ignored
 * would open a door.
 */
export function checkOptionNames(options: unknown, known: readonly string[], where: string): void {
  if (options === undefined) return;
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw argumentError('options', 'an object', options);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new TypeError(`unknown option "${name}" of ${where}; it takes: ${known.join(', ')}`);
    }
  }
}

export function checkBoolean(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'boolean') throw argumentError(name, 'a boolean', value);
}

export function checkString(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'string') throw argumentError(name, 'a string', value);
}

export function checkFunction(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'function') throw argumentError(name, 'a function', value);
}

export function checkSignal(value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal))
    throw argumentError('options.signal', 'an AbortSignal', value);
}

/** @throws TypeError if not a number; InvalidOption if not an integer of `[min, max]`. */
export function checkInteger(value: unknown, name: string, min: number, max: number): void {
  if (value === undefined) return;
  if (typeof value !== 'number') throw argumentError(name, 'a number', value);
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new CryptoTensorsError('InvalidOption', `${name} must be an integer from ${min} to ${max}, not ${value}`, {
      expected: `${min}..${max}`,
      found: String(value),
    });
  }
}

/** @throws TypeError if not a string; InvalidOption if not one of `allowed`. */
export function checkOneOf(value: unknown, name: string, allowed: readonly (string | number)[]): void {
  if (value === undefined) return;
  const type = typeof allowed[0];
  if (typeof value !== type) throw argumentError(name, `a ${type}`, value);
  if (!(allowed as readonly unknown[]).includes(value)) {
    throw new CryptoTensorsError('InvalidOption', `${name} must be one of ${allowed.join(', ')}`, {
      expected: allowed.join(', '),
      found: JSON.stringify(value).slice(0, 40),
    });
  }
}

/** A path given as a string or a `file:` URL. */
export function checkPath(value: unknown, name: string): void {
  if (typeof value === 'string') {
    if (value === '' || value.includes('\0')) {
      throw new CryptoTensorsError(
        'InvalidOption',
        `${name} must be a path, not ${value === '' ? 'an empty string' : 'a string with a NUL'}`,
      );
    }
    return;
  }
  if (!(value instanceof URL)) throw argumentError(name, 'a path (string or file: URL)', value);
  if (value.protocol !== 'file:') {
    throw new CryptoTensorsError('InvalidOption', `${name} must be a file: URL, not ${value.protocol}`);
  }
}

/** The same, as a string. @throws TypeError, InvalidOption */
export function resolvePath(value: unknown, name: string): string {
  checkPath(value, name);
  return value instanceof URL ? fileURLToPath(value) : (value as string);
}
