import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RegularFile } from '../files/regular-file.js';
import type { Storage, StorageFile } from '../files/storage.js';
import { isTrustedUser, ownsFile } from '../files/ownership.js';
import { systemCodeOf } from '../files/system-error.js';
import { CryptoTensorsError, quotePath } from '../errors.js';
import { runAsync } from '../twin.js';
import { readPage } from './journal.js';
import { isAlive, thisProcess } from './owner.js';
import { PAGE_BYTES, claimOf, encodePage, helperPrefix, newPagePath, newToken } from './page.js';
import type { JournalPage } from './page.js';

/**
 * Who may work on a file. A journal or a mark is a lock: whoever makes it holds it, and when that process is gone another one may
 * take it over, but only one.
 *
 * - A lock is written under a random name and linked to its own when it is whole: there is no moment at which it has no owner.
 * - Whoever wants to finish or remove what a process that is gone has left makes a *claim* first, a lock under a name that follows
 *   from the token of the one that is left. So there is one claim at a time; if its maker dies too, the claim is claimed in turn.
 * - After a claim is made, all that led to it must still be there. Only who holds the last claim removes a lock, and before the claims:
 *   so whoever comes too late finds it gone, and begins anew.
 */

/** As often a page is linked anew that somebody cleared away meanwhile. */
const MAX_ATTEMPTS = 10;
/** A volume without hard links says so in one of these words. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV']);
/** How long a page that is not whole is given to become so, where it cannot be linked: in steps of milliseconds. */
const [PATIENCE_STEP, PATIENCE_STEPS] = [20, 10];

/** What cannot be told apart from being at work: see `recoverFile`. */
export interface RecoveryOptions {
  /** Whether a rewrap that was begun where this process cannot look may be taken for dead: the caller says so. */
  mayBeAlive: boolean;
}

/**
 * Makes a lock.
 *
 * @returns the file, open; null if the lock is there already
 * @throws {CryptoTensorsError} `FileError`
 */
export async function makeLock(path: string, page: Uint8Array, storage: Storage): Promise<StorageFile | null> {
  for (let attempt = 1; ; attempt++) {
    const temporary = newPagePath(path);
    let file: StorageFile | null = await createPage(temporary, page, storage);
    try {
      const linked = await linkTo(temporary, path, storage);
      if (linked === 'taken') return null;
      if (linked === 'gone' && attempt < MAX_ATTEMPTS) continue;
      if (linked === 'impossible') return await createInPlace(path, page, storage);
      if (linked === 'gone' || !(await file.isAt(path))) throw disturbed(path);
      const made = file;
      file = null;
      return made;
    } finally {
      await file?.close();
      // A page that stays is swept away by the next one, and the lock is what counts.
      await storage.remove(temporary).catch(() => undefined);
    }
  }
}

async function createPage(path: string, page: Uint8Array, storage: Storage): Promise<StorageFile> {
  const file = await storage.create(path);
  try {
    await file.write(page, 0);
    await file.sync();
    return file;
  } catch (error) {
    await file.close();
    // The error that brought us here says more than another one would.
    await storage.remove(path).catch(() => undefined);
    throw error;
  }
}

async function linkTo(from: string, to: string, storage: Storage): Promise<'made' | 'taken' | 'gone' | 'impossible'> {
  try {
    await storage.link(from, to);
    return 'made';
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'EEXIST') return 'taken';
    if (code === 'ENOENT') return 'gone';
    if (NO_LINKS.has(code ?? '')) return 'impossible';
    throw error;
  }
}

/** On a volume without hard links: there a page is not whole for a moment, which others wait for (`findLock`). */
async function createInPlace(path: string, page: Uint8Array, storage: Storage): Promise<StorageFile | null> {
  let file: StorageFile;
  try {
    file = await createPage(path, page, storage);
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return null;
    throw error;
  }
  if (await file.isAt(path)) return file;
  await file.close();
  throw disturbed(path);
}

/** A lock that is there. */
export interface FoundLock {
  path: string;
  file: RegularFile;
  /** The first page as it stands. */
  bytes: Uint8Array;
  /** Null for a file that is no page: it was left by something else, or a power failure. */
  page: JournalPage | null;
  token: string;
  /** The files of the model that it is about. */
  files: readonly string[];
}

/**
 * Opens a lock that is there; null if there is none. The caller closes `file`.
 *
 * Whoever can add a file to a folder can put a lock there, also where he can change no file of the model. So only one is looked at
 * that belongs, by its descriptor, to this user or to root, or to a user whose the files are anyway.
 *
 * @param files of the model that it is about
 * @throws {CryptoTensorsError} `FileError` if something else lies under its name; `FileBusy` if it belongs to somebody else
 */
export async function findLock(path: string, files: readonly string[], storage: Storage): Promise<FoundLock | null> {
  for (let patience = PATIENCE_STEPS; ; patience--) {
    const file = await storage.openToRead(path);
    if (file === null) return null;
    try {
      await refuseForeign(path, file.owner, files);
      const found = await runAsync(readPage(file));
      if (found.page !== null || file.size >= PAGE_BYTES || patience === 0) return { path, file, files, ...found };
    } catch (error) {
      file.close();
      throw error;
    }
    file.close();
    await sleep(PATIENCE_STEP);
  }
}

async function refuseForeign(path: string, owner: number, files: readonly string[]): Promise<void> {
  if (isTrustedUser(owner)) return;
  let isOwners = files.length > 0;
  for (const file of files) isOwners &&= await runAsync(ownsFile(owner, file));
  if (isOwners) return;
  throw new CryptoTensorsError(
    'FileBusy',
    `${quotePath(path)} says that a rewrap is under way or was interrupted, but it belongs to user ${owner}, who could not change all of the model by his own rights: nothing that it asks for is done. If user ${owner} is to rewrap this model, let him finish; otherwise remove that file`,
    { path, found: `a journal of user ${owner}`, expected: 'one of this user, of root or of the owner of the model' },
  );
}

/** A lock of a process that is gone, in our hands. */
export interface Takeover {
  /** Whether nobody took it from us: asked before anything is changed. @throws {CryptoTensorsError} `FileBusy` */
  assertHeld(): Promise<void>;
  /** Lets go of it. Called in the end, after the lock was removed or if it stays. */
  release(): Promise<void>;
}

/**
 * Takes a lock over, if its process is gone.
 *
 * @param refuse throws if the process of a page may still be there
 * @returns null if the lock is not there any more: look again
 */
export async function takeOver(
  lock: FoundLock,
  refuse: (page: JournalPage | null) => void,
  storage: Storage,
): Promise<Takeover | null> {
  refuse(lock.page);
  const chain = [lock];
  const close = (): void => {
    for (const { file } of chain.slice(1)) file.close();
  };
  try {
    for (;;) {
      const path = claimOf(lock.path, chain.at(-1)!.token);
      const token = newToken();
      const file = await makeLock(path, encodePage({ token, owner: thisProcess(), whole: null }), storage);
      if (file !== null) {
        const claim = claimed(path, file, chain, storage);
        if (await claim.stillThere()) return claim;
        await claim.release();
        return null;
      }
      const other = await findLock(path, lock.files, storage);
      if (other === null) return null;
      chain.push(other);
      refuse(other.page);
    }
  } catch (error) {
    close();
    throw error;
  }
}

function claimed(
  path: string,
  own: StorageFile,
  chain: readonly FoundLock[],
  storage: Storage,
): Takeover & { stillThere(): Promise<boolean> } {
  const [lock, ...dead] = chain as [FoundLock, ...FoundLock[]];
  const isThere = ({ file, path: at }: FoundLock): Promise<boolean> => runAsync(file.isAt(storage.at(at)));
  return {
    async stillThere() {
      for (const link of chain) if (!(await isThere(link))) return false;
      return own.isAt(path);
    },
    async assertHeld() {
      if ((await isThere(lock)) && (await own.isAt(path))) return;
      throw disturbed(lock.path);
    },
    async release() {
      try {
        // Those of others who died at it are of no use once the lock is gone; as long as it is there they lead to it.
        const isDone = !(await isThere(lock));
        if (isDone) for (const { path: at } of dead) await storage.remove(at);
        if (await own.isAt(path)) await storage.remove(path);
      } finally {
        await own.close();
        for (const { file } of dead) file.close();
      }
    },
  };
}

function disturbed(path: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileBusy',
    `somebody removed or replaced ${quotePath(path)}, the journal of a rewrap, while it was at work. What was not begun is left as it was; start again once nobody else is at it`,
    { path },
  );
}

/**
 * Removes what processes that are gone have left of locks that are gone: pages that were not linked yet, claims. A lock that is
 * there is left alone, with all that belongs to it.
 */
export async function sweep(
  locks: readonly string[],
  files: readonly string[],
  storage: Storage,
  options: RecoveryOptions,
): Promise<boolean> {
  let found = false;
  for (const [folder, paths] of byFolder(locks)) {
    const names = await storage.list(folder);
    for (const path of paths) {
      const prefix = helperPrefix(path);
      const left = names.filter((name) => name.startsWith(prefix));
      // Asked after the list was made: claims of a lock that is made later have other names.
      if (left.length === 0 || (await isTaken(path, storage))) continue;
      for (const name of left) if (await removeLeft(join(folder, name), files, storage, options)) found = true;
    }
  }
  return found;
}

function byFolder(paths: readonly string[]): Map<string, string[]> {
  const folders = new Map<string, string[]>();
  for (const path of paths) {
    const folder = dirname(path);
    const names = folders.get(folder);
    if (names === undefined) folders.set(folder, [path]);
    else names.push(path);
  }
  return folders;
}

/** Whether anything at all lies under a name. */
async function isTaken(path: string, storage: Storage): Promise<boolean> {
  const file = await storage.openToRead(path).catch(() => undefined);
  file?.close();
  return file !== null;
}

async function removeLeft(
  path: string,
  files: readonly string[],
  storage: Storage,
  { mayBeAlive }: RecoveryOptions,
): Promise<boolean> {
  const left = await findLock(path, files, storage).catch(() => null);
  if (left === null) return false;
  left.file.close();
  const alive = left.page === null ? false : isAlive(left.page.owner);
  if (alive === true || (alive === 'unknown' && !mayBeAlive)) return false;
  await storage.remove(path);
  return true;
}
