import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Twin } from '../twin.js';
import { statusOf } from './status.js';

/**
 * Users whose files this process may act on as on its own: itself and root; in a container root may be somebody else outside, and
 * whoever owns the root folder has everything anyway. Null where the system knows no users (Windows).
 */
function trustedUsers(): ReadonlySet<number> | null {
  const self = process.geteuid?.();
  return self === undefined ? null : new Set([self, 0, statSync('/').uid]);
}

export function isTrustedUser(uid: number): boolean {
  return trustedUsers()?.has(uid) ?? true;
}

/**
 * Whether a user could change a file by his own rights: it is his, and it lies where not everybody can put another one in its place,
 * or where he decides about that.
 */
export function* ownsFile(uid: number, path: string): Twin<boolean> {
  const [file, folder] = [yield* statusOf(path), yield* statusOf(dirname(path))];
  if (file === null || folder === null || Number(file.uid) !== uid) return false;
  return (folder.mode & 0o1002n) === 0n || Number(folder.uid) === uid;
}

/**
 * Whether what a user has put beside a file gives him no more than he could do to the file itself, for who only reads it. In a folder
 * that is not sticky whoever can add a file can also replace one.
 */
export function* couldReplace(uid: number, path: string): Twin<boolean> {
  if (isTrustedUser(uid)) return true;
  const [file, folder] = [yield* statusOf(path), yield* statusOf(dirname(path))];
  if (file === null || folder === null) return false;
  return (folder.mode & 0o1000n) === 0n || [file.uid, folder.uid].includes(BigInt(uid));
}
