import { lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import type { BigIntStats, Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import type { FileStatus } from '../engine/types.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';

/** The file behind symbolic links; null if there is none, or it cannot be asked about. */
export function* realPath(path: string): Twin<string | null> {
  return yield* step(
    () => orNull(() => realpathSync(path)),
    () => realpath(path).catch(() => null),
  );
}

/** The file behind symbolic links. Throws what `node:fs` throws. */
export function resolvedPath(path: string): Twin<string> {
  return step(
    () => realpathSync(path),
    () => realpath(path),
  );
}

/** One name in a folder. */
export type FolderEntry = Dirent;

/** What is in a folder. Throws what `node:fs` throws. */
export function entriesOf(path: string): Twin<FolderEntry[]> {
  return step(
    () => readdirSync(path, { withFileTypes: true }),
    () => readdir(path, { withFileTypes: true }),
  );
}

/** What is behind symbolic links; null if there is nothing, or it cannot be asked about. */
export function* statusOf(path: string): Twin<BigIntStats | null> {
  return yield* step(
    () => orNull(() => statSync(path, { bigint: true })),
    () => stat(path, { bigint: true }).catch(() => null),
  );
}

/** What stands under a name, be it a symbolic link; null if nothing does, or it cannot be asked about. */
export function linkStatusOf(path: string): BigIntStats | null {
  return orNull(() => lstatSync(path, { bigint: true }));
}

/** In the engine's terms. */
export function fileStatusOf({ dev, ino, mode, uid, gid, nlink }: BigIntStats): FileStatus {
  const permissions = Number(mode & 0o7777n);
  return { device: dev, inode: ino, mode: permissions, uid: Number(uid), gid: Number(gid), links: Number(nlink) };
}

export function isSameFile(a: FileStatus, b: FileStatus): boolean {
  return a.device === b.device && a.inode === b.inode;
}

/** Whether two paths lead to one file: by name, symbolic or hard link. */
export function* leadToOneFile(a: string, b: string): Twin<boolean> {
  const [one, other] = [yield* statusOf(a), yield* statusOf(b)];
  return one !== null && other !== null && isSameFile(fileStatusOf(one), fileStatusOf(other));
}

/** What something is that is no regular file, for messages. */
export function kindOf(
  status: Pick<
    BigIntStats,
    'isDirectory' | 'isFIFO' | 'isSocket' | 'isBlockDevice' | 'isCharacterDevice' | 'isSymbolicLink'
  >,
): string {
  if (status.isDirectory()) return 'a folder';
  if (status.isFIFO()) return 'a pipe';
  if (status.isSocket()) return 'a socket';
  if (status.isBlockDevice()) return 'a block device';
  if (status.isCharacterDevice()) return 'a character device';
  if (status.isSymbolicLink()) return 'a symbolic link';
  return 'no regular file';
}

function orNull<Result>(work: () => Result): Result | null {
  try {
    return work();
  } catch {
    return null;
  }
}
