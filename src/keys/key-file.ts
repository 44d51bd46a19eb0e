import type { Engine } from '../engine/types.js';
import { readBounded } from '../files/read-bounded.js';
import type { Twin } from '../twin.js';

/** Far above any set of keys; a path that points at a model by mistake is refused before it fills the memory. */
export const MAX_KEY_FILE_BYTES = 16 * 1024 * 1024;

/**
 * Reads a key file into memory of its own, which the caller wipes. A pipe is read to its end, once.
 *
 * @param pipes whether it may be a pipe, which is read once: not where keys are read anew each time that one is needed
 * @throws FileError with `path` and, where the system gave one, `systemCode`
 */
export function readKeyFile(path: string, engine: Engine, { pipes = false } = {}): Twin<Uint8Array> {
  return readBounded(path, {
    limit: MAX_KEY_FILE_BYTES,
    pipes,
    what: 'key file',
    advice: 'is it a JWK set?',
    wipe: (bytes) => engine.wipe(bytes),
  });
}
