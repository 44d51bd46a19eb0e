import type { Header } from '../format/header.js';
import { tensorNamesText } from '../format/model-identity.js';
import type { Engine } from '../engine/types.js';

/** SHA-256 in lower-case hexadecimal digits. */
export function sha256Of(engine: Engine, bytes: Uint8Array): string {
  return Buffer.from(engine.digest('sha256', bytes)).toString('hex');
}

/** What binds a file to the names of its tensors (docs/format.md). */
export function tensorNamesDigest(engine: Engine, { names }: Pick<Header, 'names'>): string {
  return sha256Of(engine, tensorNamesText(names));
}
