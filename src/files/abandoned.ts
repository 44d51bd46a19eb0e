import type { Engine } from '../engine/types.js';
import type { Twin } from '../twin.js';
import type { Target } from './target.js';
import { isTemporaryName } from './temporary-name.js';

/** A folder that takes longer than this to look through, in milliseconds, is not looked through each time. */
const SHORT = 5;
/** The share of its time that a process may spend on looking through one folder. */
const SHARE = 1 / 100;

/** When folders that take long may be looked through again. */
const nextLook = new Map<string, number>();
const MAX_FOLDERS = 1000;

/**
 * Removes what processes that were killed have left of writing this target: temporary files of this user's that nobody holds a lock
 * on. It is a courtesy, so it throws nothing.
 */
export function* removeAbandoned({ folder, name }: Target, engine: Engine): Twin<void> {
  const started = performance.now();
  if (!engine.locksFiles || started < (nextLook.get(folder.path) ?? 0)) return;
  try {
    for (const found of yield* folder.names()) {
      if (isTemporaryName(found, name, 'tmp')) engine.removeAbandoned(folder.at(found));
    }
  } catch {
    // A folder that may not be listed.
  }
  const now = performance.now();
  nextLook.delete(folder.path);
  if (now - started <= SHORT) return;
  if (nextLook.size >= MAX_FOLDERS) nextLook.clear();
  nextLook.set(folder.path, now + (now - started) / SHARE);
}
