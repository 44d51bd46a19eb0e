import { realpathSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { fileError } from './system-error.js';

/**
 * The file behind symbolic links.
 *
 * @param given the path that errors name
 * @throws {CryptoTensorsError} `FileError`
 */
export function* realPathOf(path: string, given = path): Twin<string> {
  try {
    return yield* step(
      () => realpathSync(path),
      () => realpath(path),
    );
  } catch (error) {
    throw fileError(given, 'found', error);
  }
}
