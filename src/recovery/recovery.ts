import { dirname } from 'node:path';
import { CryptoTensorsError, quote, quotePath } from '../errors.js';
import { fileError } from '../files/system-error.js';
import type { RegularFile } from '../files/regular-file.js';
import type { Storage } from '../files/storage.js';
import { runAsync } from '../twin.js';
import { carryOut, fits } from './changes.js';
import { readChange, readEntries } from './journal.js';
import type { Change, Entry } from './journal.js';
import { findLock, sweep, takeOver } from './lock.js';
import type { FoundLock, RecoveryOptions, Takeover } from './lock.js';
import { isAlive } from './owner.js';
import { journalOf, temporaryOf } from './page.js';
import type { JournalPage } from './page.js';
import { isAtLocation } from './model-location.js';
import type { Member, ModelLocation } from './model-location.js';
import { settleMark } from './marks.js';

/** What was found of an interrupted rewrap: nothing; one that had touched nothing yet; one that is finished now. */
export type Recovery = 'nothing' | 'undone' | 'finished';

/**
 * Finishes an interrupted rewrap if its journal was written wholly, and otherwise removes what it left: it had touched nothing.
 *
 * What a journal asks for is done only to files that it can have been written for: each byte of a header that it swaps must be
 * the old one or the new one, each file that it replaces must still have the old header. It is never done to another model: of a
 * shard that is part of a larger rewrap nothing is touched.
 *
 * @throws {CryptoTensorsError} `FileBusy` if the process that began it is there, or if the file is a shard of a model that was
 * rewrapped as a whole; `FileChanged` if a file is another one now; `FileError`
 */
export async function recoverAt(
  location: ModelLocation,
  storage: Storage,
  options: RecoveryOptions,
): Promise<Recovery> {
  try {
    let outcome: Recovery | null = null;
    // What goes away under our eyes, or changes hands, is looked at anew.
    while (outcome === null) outcome = await recoverOnce(location, storage, options);
    const locks = [location.journal, ...location.members.map(({ path }) => journalOf(path))];
    const isSwept = await sweep([...new Set(locks)], filesOf(location), storage, options);
    return outcome === 'nothing' && isSwept ? 'undone' : outcome;
  } catch (error) {
    throw fileError(location.path, 'recovered', error);
  }
}

function filesOf({ members }: ModelLocation): string[] {
  return members.map(({ path }) => path);
}

async function recoverOnce(
  location: ModelLocation,
  storage: Storage,
  options: RecoveryOptions,
): Promise<Recovery | null> {
  const lock = await findLock(location.journal, filesOf(location), storage);
  if (lock === null) return location.sharded ? removeMarks(location, storage, options) : 'nothing';
  try {
    const refuse = (page: JournalPage | null): void => refuseBusy(location, page, options);
    refuse(lock.page);
    if (lock.page?.whole != null && !(await settleMark(lock.page.whole, location, storage))) {
      throw partOf(location, lock.page);
    }
    const takeover = await takeOver(lock, refuse, storage);
    if (takeover === null) return null;
    try {
      return await finish(location, lock, takeover, storage, options);
    } finally {
      await takeover.release();
    }
  } finally {
    lock.file.close();
  }
}

/** What is left to do of a rewrap, by who has taken it over. */
async function finish(
  location: ModelLocation,
  lock: FoundLock,
  takeover: Takeover,
  storage: Storage,
  options: RecoveryOptions,
): Promise<Recovery> {
  const { file, bytes, page, token } = lock;
  // A mark whose model's rewrap is over.
  const isMark = page?.whole != null;
  const entries = page === null || isMark ? null : await runAsync(readEntries(file, bytes));
  const work = entries === null ? null : await planRecovery(location, token, { file, entries }, storage);
  for (const { change, member } of work ?? []) {
    await takeover.assertHeld();
    await carryOut(change, { path: member.path, token, maker: file.owner }, storage);
  }
  await syncFolders(work ?? [], storage);
  await takeover.assertHeld();
  const outcome = isMark || work !== null ? 'finished' : 'undone';
  const marked = location.sharded ? await ownMarks(location, token, storage) : location.members;
  for (const { path } of marked) await storage.remove(temporaryOf(path, token));
  // A mark without a journal means that all is done.
  if (location.sharded && outcome === 'undone') await removeAll(marked, token, location, storage, options);
  await storage.remove(location.journal);
  await storage.syncFolder(dirname(location.journal));
  if (location.sharded && outcome === 'finished') await removeAll(marked, token, location, storage, options);
  return outcome;
}

/** When all is done the journal is removed before the marks on the shards, so these can be left alone. */
async function removeMarks(location: ModelLocation, storage: Storage, options: RecoveryOptions): Promise<Recovery> {
  const isRemoved = await removeAll(location.members, null, location, storage, options);
  return isRemoved ? 'finished' : 'nothing';
}

/** @param token of the rewrap whose marks they must be; null: of any of this model */
async function removeAll(
  members: readonly Member[],
  token: string | null,
  location: ModelLocation,
  storage: Storage,
  options: RecoveryOptions,
): Promise<boolean> {
  let isRemoved = false;
  for (const { path } of members) {
    const lock = await findLock(journalOf(path), [path], storage);
    if (lock === null) continue;
    try {
      const whole = lock.page?.whole ?? null;
      const isOurs = lock.page === null || (whole !== null && isAtLocation(whole, location));
      if (!isOurs || (token !== null && whole?.token !== token)) continue;
      const takeover = await takeOver(lock, (page) => refuseBusy(location, page, options), storage);
      // Somebody else is just removing it.
      if (takeover === null) continue;
      try {
        await storage.remove(lock.path);
        isRemoved = true;
      } finally {
        await takeover.release();
      }
    } finally {
      lock.file.close();
    }
  }
  return isRemoved;
}

function refuseBusy(location: ModelLocation, page: JournalPage | null, { mayBeAlive }: RecoveryOptions): void {
  const alive = page === null ? false : isAlive(page.owner);
  if (alive === true || (alive === 'unknown' && !mayBeAlive)) throw busy(location, page);
}

export function busy({ path, journal }: ModelLocation, page: JournalPage | null): CryptoTensorsError {
  const alive = page === null || isAlive(page.owner) === true;
  return new CryptoTensorsError(
    'FileBusy',
    alive
      ? `${quotePath(path)} is being rewrapped${page === null ? '' : ` by process ${page.owner.pid}`}: wait until that is done`
      : `a rewrap of ${quotePath(path)} was begun on ${quote(page.owner.host)} by process ${page.owner.pid}, and cannot be looked after from here. If that process is gone, finish its work with recoverFile or cryptotensors rewrap --recover; its journal is ${quotePath(journal)}`,
    { path },
  );
}

function partOf({ path, journal }: ModelLocation, { whole }: JournalPage): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileBusy',
    `${quotePath(path)} is a shard of a model that was being rewrapped as a whole when that was interrupted. Finish that first: give recoverFile or cryptotensors rewrap --recover its index, ${quote(whole!.index)}, which was in ${quotePath(whole!.folder)}. If that model is gone, remove ${quotePath(journal)}`,
    { path },
  );
}

interface Work {
  change: Change;
  member: Member;
}

/** What is to be done, or a refusal if anything is not what the journal was written for. Null if the journal is not whole. */
async function planRecovery(
  location: ModelLocation,
  token: string,
  { file, entries }: { file: RegularFile; entries: readonly Entry[] },
  storage: Storage,
): Promise<Work[] | null> {
  const work: Work[] = [];
  for (const entry of entries) {
    const member = location.members.find(({ name }) => name === entry.name);
    if (member === undefined) throw stale(location, entry);
    // A shard may be a link to anywhere. Only who can write beside the file itself can have it changed.
    if (location.sharded && !(await isMarked(member.path, token, storage))) throw stale(location, entry);
    // Before anything as long as the journal says is read.
    if (!(await fits(entry, { path: member.path, token }, storage))) throw stale(location, entry);
    const change = await runAsync(readChange(file, entry));
    if (change === null) return null;
    if (!(await fits(change, { path: member.path, token }, storage))) throw stale(location, entry);
    work.push({ change, member });
  }
  return work.length === 0 ? null : work;
}

function stale({ path, journal }: ModelLocation, { name }: Entry): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileChanged',
    `an interrupted rewrap of ${quotePath(path)} cannot be finished: ${quote(name)} is not the file any more that it was begun with. If the files are what they should be, remove ${quotePath(journal)}`,
    { path },
  );
}

/** Makes renames durable, before the journal that could repeat them goes. */
export async function syncFolders(work: readonly Work[], storage: Storage): Promise<void> {
  const replaced = work.filter(({ change }) => change.kind === 'replace');
  for (const folder of new Set(replaced.map(({ member }) => dirname(member.path)))) await storage.syncFolder(folder);
}

async function ownMarks(location: ModelLocation, token: string, storage: Storage): Promise<readonly Member[]> {
  const own: Member[] = [];
  for (const member of location.members) if (await isMarked(member.path, token, storage)) own.push(member);
  return own;
}

/** Whether a shard is part of the rewrap with this token, and not of one of its own. */
export async function isMarked(path: string, token: string, storage: Storage): Promise<boolean> {
  const lock = await findLock(journalOf(path), [path], storage);
  lock?.file.close();
  return lock?.page?.whole?.token === token;
}
