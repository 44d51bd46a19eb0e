import { DISPOSE } from '../disposal.js';
import { lstatSync, readlinkSync, statSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { dirname, isAbsolute, join, parse } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import type { FileStatus } from '../engine/types.js';
import { Folder } from './folder.js';
import { fileStatusOf, kindOf } from './status.js';
import { fileError, isMissing } from './system-error.js';
import { withoutPrototype } from '../options.js';

/** Where a file is to be written. */
export interface Target extends Disposable {
  /** As it was given, for messages. */
  readonly given: string;
  readonly folder: Folder;
  /** The last part of the path, behind symbolic links. */
  readonly name: string;
  /** Folder and name. */
  readonly path: string;
  /** The regular file that is there, if any. */
  readonly existing: FileStatus | null;
}

/**
 * Finds where a file is to be written: links are followed first, so what is written replaces the file that a link leads to, and
 * the link stays. One rule for every operation that writes.
 *
 * Links that somebody else could have put there to lead astray are refused (`refuseForeignLinks`), and so is whatever is no
 * regular file: folder, device, pipe, socket.
 *
 * @param last `refuse`: nothing may stand under the name, a link neither
 * @throws {CryptoTensorsError} `FileError`; with `refuse` one with `EEXIST`
 */
export function openTarget(given: string, options: { last?: 'follow' | 'refuse' } = {}): Target {
  const { last = 'follow' } = withoutPrototype(options);
  try {
    // What a descriptor of this process is behind (/dev/stdout) is not to be found by its name.
    if (last === 'follow') refuseSpecial(given, statusThere(given));
    const { path, links } = resolve(given, last);
    const folder = openFolderOf(path, given);
    try {
      refuseForeignLinks(given, links, folder);
      const name = parse(path).base;
      const found = folder.find(name);
      if (found !== null && last === 'refuse') throw taken(given);
      refuseSpecial(given, found);
      const existing = found === null ? null : fileStatusOf(found);
      return { given, folder, name, path, existing, [DISPOSE]: () => folder.close() };
    } catch (error) {
      folder.close();
      throw error;
    }
  } catch (error) {
    throw fileError(given, 'written', error);
  }
}

/**
 * The regular file that a path leads to, behind links, to be changed where it stands: by the rules of `openTarget`.
 *
 * @throws {CryptoTensorsError} `FileError`
 */
export function existingTarget(given: string): string {
  const { existing, path, folder } = openTarget(given);
  folder.close();
  if (existing !== null) return path;
  const missing = Object.assign(new Error('no such file or directory'), { code: 'ENOENT', syscall: 'open' });
  throw fileError(given, 'opened', missing);
}

/**
 * A path whose last part is taken as it is, behind the links before it: for names that count from there.
 *
 * @throws {CryptoTensorsError} `FileError`
 */
export function targetAsNamed(given: string): string {
  try {
    const { path, links } = resolve(given, 'refuse');
    const folder = openFolderOf(path, given);
    try {
      refuseForeignLinks(given, links, folder);
    } finally {
      folder.close();
    }
    return path;
  } catch (error) {
    throw fileError(given, 'written', error);
  }
}

/** The folder of a path; what is wrong with it is told of the path that was given. */
function openFolderOf(path: string, given: string): Folder {
  try {
    return Folder.open(dirname(path));
  } catch (error) {
    if (!(error instanceof CryptoTensorsError) || error.systemCode === undefined) throw error;
    throw new CryptoTensorsError('FileError', `${quote(given)} cannot be reached: ${error.message}`, {
      path: given,
      systemCode: error.systemCode,
      cause: error,
    });
  }
}

/** The refusal of a path where something stands already. */
export function taken(path: string, advice = 'Choose another name, or move that one away'): CryptoTensorsError {
  return new CryptoTensorsError('FileError', `${quote(path)} is already there. ${advice}`, {
    path,
    systemCode: 'EEXIST',
  });
}

/** What is behind links; null for nothing. */
function statusThere(path: string): BigIntStats | null {
  try {
    return statSync(path, { bigint: true });
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

function refuseSpecial(path: string, status: BigIntStats | null): void {
  if (status === null || status.isFile()) return;
  const found = kindOf(status);
  throw new CryptoTensorsError(
    'FileError',
    `${quote(path)} is ${found}: only a regular file is ever replaced. Name a file`,
    { path, found, expected: 'a regular file', ...(status.isDirectory() ? { systemCode: 'EISDIR' } : {}) },
  );
}

/** A symbolic link on the way. */
interface Link {
  path: string;
  status: BigIntStats;
  /** Of the folder that it lies in. */
  folder: BigIntStats;
}

/** As many as Linux follows. */
const MAX_LINKS = 40;

/** Follows a path name by name, as the system does, and tells the links that it came by. */
function resolve(given: string, last: 'follow' | 'refuse'): { path: string; links: Link[] } {
  const absolute = isAbsolute(given) ? given : join(process.cwd(), '.') + '/' + given;
  let { root: at } = parse(absolute);
  let rest = partsOf(absolute.slice(at.length));
  const links: Link[] = [];
  while (rest.length > 0) {
    const part = rest.shift()!;
    if (part === '..' || part === '.') {
      refuseBehindFile(given, at);
      if (part === '..') at = dirname(at);
      continue;
    }
    const path = join(at, part);
    if (rest.length === 0 && last === 'refuse') return { path, links };
    let status: BigIntStats;
    try {
      status = lstatSync(path, { bigint: true });
    } catch (error) {
      // A new file.
      if (rest.length === 0 && isMissing(error)) return { path, links };
      throw fileError(given, 'written', error, isMissing(error) ? `There is no folder ${quote(path)}` : '');
    }
    if (!status.isSymbolicLink()) {
      at = path;
      continue;
    }
    if (links.push({ path, status, folder: lstatSync(at, { bigint: true }) }) > MAX_LINKS) {
      const cause = Object.assign(new Error('too many symbolic links'), { code: 'ELOOP', syscall: 'open' });
      throw fileError(given, 'written', cause);
    }
    const to = readlinkSync(path);
    const { root } = parse(to);
    if (root !== '') at = root;
    rest = [...partsOf(to.slice(root.length)), ...rest];
  }
  return { path: at, links };
}

/** A slash with nothing behind it says that what stands before it is a folder, as `.` does. */
function partsOf(path: string): string[] {
  return path.split(process.platform === 'win32' ? /[\\/]/ : '/').map((part) => (part === '' ? '.' : part));
}

/** Only a folder has something behind it, be that itself or the folder above: `file/../other` is no path. */
function refuseBehindFile(given: string, path: string): void {
  if (lstatSync(path).isDirectory()) return;
  const cause = Object.assign(new Error('not a directory'), { code: 'ENOTDIR', syscall: 'open' });
  throw fileError(given, 'written', cause, `${quote(path)} is no folder`);
}

/**
 * Refuses a link that could lead this process, with its rights, where the link's owner has none: root that writes into another
 * user's folder must not be led to /etc by a link there. A link is followed if
 * - it leads within its own folder, or
 * - it and its folder belong to this user or to root, and not everybody can write there, or
 * - it leads to a folder of the link's own owner, who could write there himself.
 */
function refuseForeignLinks(given: string, links: readonly Link[], to: Folder): void {
  const self = process.geteuid?.();
  if (links.length === 0 || self === undefined) return;
  const { uid: toOwner, dev, ino } = to.status();
  // In a container root may be somebody else outside; whoever owns the root folder has everything anyway.
  const trusted = new Set([0n, BigInt(self), statSync('/', { bigint: true }).uid]);
  for (const { path, status, folder } of links) {
    if (folder.dev === dev && folder.ino === ino) continue;
    const open = (folder.mode & 0o1002n) === 0o2n;
    if (!open && trusted.has(status.uid) && trusted.has(folder.uid)) continue;
    if (!open && status.uid === toOwner && (trusted.has(folder.uid) || folder.uid === status.uid)) continue;
    throw new CryptoTensorsError(
      'FileError',
      `${quote(given)} could not be written: ${quote(path)} is a symbolic link ${open ? 'in a folder where everybody can write' : `that user ${status.uid} can change`}, and it leads elsewhere, to ${quote(to.path)}. Give the path of the file itself`,
      { path: given, found: path, systemCode: 'ELOOP' },
    );
  }
}
