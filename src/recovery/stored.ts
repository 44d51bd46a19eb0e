import { realpathSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import type { Engine } from '../engine/types.js';
import { step } from '../twin.js';
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

/** The file behind symbolic links; null if there is none. */
export function* realPath(path: string): Twin<string | null> {
  return yield* step(
    () => orNull(() => realpathSync(path)),
    () => realpath(path).catch(() => null),
  );
}

export function* statusOf(path: string): Twin<BigIntStats | null> {
  return yield* step(
    () => statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null,
    () => stat(path, { bigint: true }).catch(() => null),
  );
}

function orNull<Result>(work: () => Result): Result | null {
  try {
    return work();
  } catch {
    return null;
  }
}
