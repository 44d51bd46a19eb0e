import { fileURLToPath } from 'node:url';
import { CryptoTensorsError, argumentError, couldBeKey } from './errors.js';
import { named, say } from './wording.js';
import { memberOf } from './options.js';

/** A path given as a string or a `file:` URL. */
function checkPath(value: unknown, name: string): void {
  if (typeof value === 'string') {
    if (value === '' || value.includes('\0')) {
      throw new CryptoTensorsError(
        'InvalidOption',
        say`${named(name)} must be a path, not ${value === '' ? 'an empty string' : 'a string with a NUL'}`,
      );
    }
    if (couldBeKey(value)) {
      throw new CryptoTensorsError(
        'InvalidOption',
        say`${named(name)} is a text of ${value.length} characters where a path belongs, not shown: it looks like a key. Give keys as an object or bytes, or the path of their file; give a file that is called so with its folder, as ./name`,
      );
    }
    return;
  }
  if (!isUrl(value)) throw argumentError(name, 'a path (string or file: URL)', value);
  if (value.protocol !== 'file:') {
    throw new CryptoTensorsError('InvalidOption', say`${named(name)} must be a file: URL, not ${value.protocol}`);
  }
}

/** The same, as a string. @throws TypeError, InvalidOption */
export function resolvePath(value: unknown, name: string): string {
  checkPath(value, name);
  return isUrl(value) ? fileURLToPath(value.href) : (value as string);
}

/** By what it has, as Node.js tells them: that of another realm is one too. */
export function isUrl(value: unknown): value is URL {
  if (typeof value !== 'object' || value === null) return false;
  return typeof memberOf(value, 'href') === 'string' && typeof memberOf(value, 'protocol') === 'string';
}
