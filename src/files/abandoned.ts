import type { Engine } from '../engine/types.js';
import type { Twin } from '../twin.js';
import type { Target } from './target.js';
import { isTemporaryName } from './temporary-name.js';

/** A folder of more names than these is not looked through each time a file is written there. */
const MANY_NAMES = 10_000;
const PAUSE_MS = 60_000;

/** When folders of many names may be looked through again. */
const nextLook = new Map<string, number>();
const MAX_FOLDERS = 1000;

/**
 * Removes what processes that were killed have left of writing this target: temporary files of this user's that nobody holds a lock
 * on. It is a courtesy, so it throws nothing.
 */
export function* removeAbandoned({ folder, name }: Target, engine: Engine): Twin<void> {
  const now = performance.now();
  if (!engine.locksFiles || now < (nextLook.get(folder.path) ?? 0)) return;
  try {
    const names = yield* folder.names();
    for (const found of names) {
      if (isTemporaryName(found, name, 'tmp')) engine.removeAbandoned(folder.at(found));
    }
    nextLook.delete(folder.path);
    if (names.length <= MANY_NAMES) return;
    if (nextLook.size >= MAX_FOLDERS) nextLook.clear();
    nextLook.set(folder.path, now + PAUSE_MS);
  } catch {
    // A folder that may not be listed.
  }
}
