import { readFileSync } from 'node:fs';
import type { FileStatus, Sink } from '../engine/types.js';
import { systemCodeOf } from './system-error.js';

/** What a new file may be used for by whom, where nothing else is asked for: reading and writing by all, less the umask. */
export const ANYBODY = 0o666;
/** Without the set-user-id, set-group-id and sticky bits. */
export const PERMISSIONS = 0o777;
const GROUP = 0o070;

/**
 * Permissions to create a file with that is made from another one: whoever may not use that one may not use this one either. The
 * group that the file gets is not known yet, so the group may do no more than all others.
 */
export function narrowed(mode: number, like: FileStatus | null): number {
  return like === null ? mode : mode & withoutGroup(like.mode);
}

/** Lets the group do what it may do with the file that this one is made from, if it is the same group. */
export function widenForGroup(sink: Sink, mode: number, like: FileStatus | null): void {
  if (like === null) return;
  const own = sink.status();
  if (own?.gid !== like.gid) return;
  const wanted = own.mode | (mode & like.mode & GROUP & ~umask());
  if (wanted !== own.mode) sink.setMode(wanted & PERMISSIONS);
}

/**
 * Gives a new file the owner, group and permissions of the one that it is to replace, as far as this user may. Set-user-id and
 * set-group-id bits are not copied: they would make this file run with somebody's rights who never saw it.
 *
 * @throws {EngineFault} `FileError` if the file would be open to more than the other one
 */
export function takeOver(sink: Sink, replaced: FileStatus): void {
  const before = sink.status();
  if (before === null) return;
  if (before.uid !== replaced.uid || before.gid !== replaced.gid) giveAway(sink, replaced);
  const { gid, mode } = sink.status() ?? before;
  // Another group must not get what that one had.
  const wanted = gid === replaced.gid ? replaced.mode & PERMISSIONS : withoutGroup(replaced.mode);
  if (wanted === mode) return;
  try {
    sink.setMode(wanted);
  } catch (error) {
    // Some volumes know no permissions; then the two files have the same anyway.
    if (!isRefused(error) || ((sink.status()?.mode ?? 0) & ~replaced.mode & PERMISSIONS) !== 0) throw error;
  }
}

/** Only root can give files away; others keep the group if they are in it. */
function giveAway(sink: Sink, { uid, gid }: FileStatus): void {
  for (const owner of [uid, null]) {
    try {
      sink.setOwner(owner, gid);
      return;
    } catch (error) {
      if (!isRefused(error)) throw error;
    }
  }
}

/** EINVAL: an id that the user namespace of a container does not know. */
function isRefused(error: unknown): boolean {
  return ['EPERM', 'EACCES', 'EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(systemCodeOf(error) ?? '');
}

/** Permissions in which the group may do no more than all others. */
function withoutGroup(mode: number): number {
  return mode & (0o707 | ((mode & 0o007) << 3));
}

/** Node's own `process.umask()` sets the umask for a moment, for all threads. Where it cannot be read it counts as strict. */
function umask(): number {
  try {
    const found = /^Umask:\s*([0-7]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'));
    return Number.parseInt(found?.[1] ?? '777', 8);
  } catch {
    return PERMISSIONS;
  }
}
