import { CryptoTensorsError, argumentError, quote } from '../errors.js';

/**
 * A user's metadata as a map, checked.
 *
 * @throws {TypeError} if it is not a flat map of strings
 * @throws {CryptoTensorsError} `InvalidOption` for a reserved key (`__…`) or text that is not well-formed Unicode
 */
export function checkMetadata(metadata: unknown): ReadonlyMap<string, string> | null {
  if (metadata === undefined) return null;
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw argumentError('options.metadata', 'an object or a Map of strings', metadata);
  }
  const entries = metadata instanceof Map ? [...(metadata as Map<unknown, unknown>)] : Object.entries(metadata);
  const checked = new Map<string, string>();
  for (const [key, value] of entries as [unknown, unknown][]) {
    if (typeof key !== 'string') throw argumentError('a key of options.metadata', 'a string', key);
    if (typeof value !== 'string') throw argumentError(`options.metadata[${quote(key)}]`, 'a string', value);
    if (key.startsWith('__')) {
      throw new CryptoTensorsError(
        'InvalidOption',
        `options.metadata: keys that begin with "__" are reserved, such as ${quote(key)}`,
      );
    }
    if (!key.isWellFormed() || !value.isWellFormed()) {
      throw new CryptoTensorsError('InvalidOption', `options.metadata[${quote(key)}] holds half of a surrogate pair`);
    }
    checked.set(key, value);
  }
  return checked;
}
