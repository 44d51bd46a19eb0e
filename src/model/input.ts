import { argumentError } from '../errors.js';
import { resolvePath } from '../options.js';

/** A path or `file:` URL of a file or of a shard index (`*.index.json`), or a file's bytes. */
export type OpenInput = string | URL | Uint8Array;

/** @throws TypeError if `input` is neither a path nor bytes */
export function resolveInput(input: unknown, name = 'input'): string | Uint8Array {
  if (input instanceof Uint8Array) return input;
  if (typeof input !== 'string' && !(input instanceof URL)) {
    throw argumentError(name, 'a path (string or file: URL) or a Uint8Array', input);
  }
  return resolvePath(input, name);
}
