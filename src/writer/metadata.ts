import { isMap } from 'node:util/types';
import { CryptoTensorsError, argumentError, quoteInput } from '../errors.js';
import { isPlainObject } from '../options.js';
import { option, say } from '../wording.js';

/**
 * A user's metadata as a map, checked.
 *
 * @throws {TypeError} if it is not a flat map of strings
 * @throws {CryptoTensorsError} `InvalidOption` for a reserved key (`__…`) or text that is not well-formed Unicode
 */
export function checkMetadata(metadata: unknown): ReadonlyMap<string, string> | null {
  if (metadata === undefined) return null;
  if (!isMap(metadata) && !isPlainObject(metadata)) {
    throw argumentError('options.metadata', 'a plain object or a Map of strings', metadata);
  }
  const entries: Iterable<[unknown, unknown]> = isMap(metadata) ? metadata : Object.entries(metadata);
  const checked = new Map<string, string>();
  for (const [key, value] of entries) {
    if (typeof key !== 'string') throw argumentError('a key of options.metadata', 'a string', key);
    if (typeof value !== 'string') throw argumentError(`options.metadata[${quoteInput(key)}]`, 'a string', value);
    if (key.startsWith('__')) {
      throw new CryptoTensorsError(
        'InvalidOption',
        say`${option('metadata')}: keys that begin with "__" are reserved, such as ${quoteInput(key)}`,
      );
    }
    if (!key.isWellFormed() || !value.isWellFormed()) {
      throw new CryptoTensorsError(
        'InvalidOption',
        say`${option('metadata')}[${quoteInput(key)}] holds half of a surrogate pair`,
      );
    }
    checked.set(key, value);
  }
  return checked;
}
