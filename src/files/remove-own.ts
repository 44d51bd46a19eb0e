import type { FileStatus } from '../engine/types.js';
import { isSameFile } from './status.js';
import { openTarget } from './target.js';

/**
 * Removes a file that this process has made, if it still is what stands under the name: when what it was a part of failed. Throws
 * nothing, because the failure says more.
 *
 * @param own what it is known by; null where the system does not tell
 */
export function removeOwn(path: string, own: FileStatus | null): void {
  try {
    const { existing, folder, name } = openTarget(path);
    try {
      if (existing !== null && (own === null || isSameFile(existing, own))) folder.remove(name);
    } finally {
      folder.close();
    }
  } catch {
    // It is not ours any more, or nobody may remove it.
  }
}
