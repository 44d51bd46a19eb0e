import { CryptoTensorsError, quote } from '../errors.js';
import type { Engine } from '../engine/types.js';
import { readBounded } from '../files/read-bounded.js';
import { systemCodeOf } from '../files/system-error.js';
import type { Twin } from '../twin.js';

/** Far above any set of keys; a path that points at a model by mistake is refused before it fills the memory. */
export const MAX_KEY_FILE_BYTES = 16 * 1024 * 1024;

/**
 * Reads a key file into memory of its own, which the caller wipes. A pipe is read to its end, once.
 *
 * @throws FileError with `path` and, where the system gave one, `systemCode`
 */
export function* readKeyFile(path: string, engine: Engine): Twin<Uint8Array> {
  try {
    return yield* readBounded(path, {
      limit: MAX_KEY_FILE_BYTES,
      pipes: true,
      what: 'key file',
      advice: 'is it a JWK set?',
      wipe: (bytes) => engine.wipe(bytes),
    });
  } catch (error) {
    throw keyFileError(path, error);
  }
}

/** A failure of the file system, in this library's words. */
export function keyFileError(path: string, error: unknown): CryptoTensorsError {
  const code = systemCodeOf(error);
  if (error instanceof CryptoTensorsError && code === undefined) return error;
  const reason = code === 'ENOENT' ? 'there is no such file' : `the system says ${code ?? 'nothing more'}`;
  return new CryptoTensorsError('FileError', `cannot read key file ${quote(path)}: ${reason}`, {
    path,
    ...(code === undefined ? {} : { systemCode: code }),
    cause: error,
  });
}
