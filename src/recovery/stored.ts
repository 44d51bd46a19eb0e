import type { Engine } from '../engine/types.js';
import type { Twin } from '../twin.js';
import { openSource, readRaw } from '../model/source.js';

/** The first bytes of a regular file, fewer if it is shorter; null where they cannot be read, for whatever reason. */
export function* readStart(path: string, length: number, engine: Engine): Twin<Uint8Array | null> {
  try {
    const source = yield* openSource(path, engine);
    try {
      const bytes = new Uint8Array(Math.min(length, source.size));
      yield* readRaw(engine, source, 0, bytes);
      return bytes;
    } finally {
      source.close();
    }
  } catch {
    return null;
  }
}
