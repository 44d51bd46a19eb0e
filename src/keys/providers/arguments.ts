import { fileURLToPath } from 'node:url';
import { argumentError } from '../../errors.js';
import { checkPath } from '../../options.js';

/** A path given as a string or a `file:` URL, as a string. @throws TypeError, InvalidOption */
export function checkKeyPath(path: string | URL, name: string): string {
  checkPath(path, name);
  return typeof path === 'string' ? path : fileURLToPath(path);
}

/** A name for the registry. @throws TypeError */
export function checkProviderName(value: unknown): void {
  if (value === undefined || (typeof value === 'string' && value !== '')) return;
  throw argumentError('options.name', 'a string that is not empty', value);
}
