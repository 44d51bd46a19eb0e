import { fileURLToPath } from 'node:url';
import { argumentError } from '../errors.js';
import { checkPath } from '../options.js';

/** A path or `file:` URL of a file or of a shard index (`*.index.json`), or a file's bytes. */
export type OpenInput = string | URL | Uint8Array;

/** @throws TypeError if `input` is neither a path nor bytes */
export function resolveInput(input: unknown, name = 'input'): string | Uint8Array {
  if (input instanceof Uint8Array) return input;
  if (typeof input !== 'string' && !(input instanceof URL)) {
    throw argumentError(name, 'a path (string or file: URL) or a Uint8Array', input);
  }
  checkPath(input, name);
  return typeof input === 'string' ? input : fileURLToPath(input);
}
