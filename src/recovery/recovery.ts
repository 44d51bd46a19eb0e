import { dirname } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import { decodeJournal, isBetween, journalOf, markOf, temporaryOf } from '../recovery/journal.js';
import type { Change, HeaderMark, JournalOwner } from '../recovery/journal.js';
import { publicWriteError } from '../writer/atomic-file.js';
import { isAlive } from './owner.js';
import { findPlace } from './place.js';
import type { Member, Place } from './place.js';
import type { Storage } from './storage.js';

/** What was found of an interrupted rewrap: nothing; one that had touched nothing yet; one that is finished now. */
export type Recovery = 'nothing' | 'undone' | 'finished';

export interface RecoveryOptions {
  /** Whether a rewrap that was begun where this process cannot look may be taken for dead: the caller says so. */
  mayBeAlive: boolean;
}

/**
 * Finishes an interrupted rewrap if its journal was written wholly, and otherwise removes what it left: it had touched nothing.
 *
 * What a journal asks for is done only to files that it can have been written for: each byte of a header that it swaps must be
 * the old one or the new one, each file that it replaces must still have the old header.
 *
 * @throws {CryptoTensorsError} `FileBusy` if the process that began it is there, `FileChanged` if a file is another one now;
 * `FileError`
 */
export async function recoverPlace(place: Place, storage: Storage, options: RecoveryOptions): Promise<Recovery> {
  try {
    const bytes = await storage.read(place.journal);
    if (bytes === null) return await removeMarks(place, storage, options);
    const { owner, see, changes } = decodeJournal(bytes);
    refuseBusy(place, owner, options);
    if (see !== null) return await recoverWhole(place, see, storage, options);
    const work = changes === null || changes.length === 0 ? null : await planRecovery(place, changes, storage);
    for (const { change, member } of work ?? []) await carryOut(change, member, storage);
    await syncFolders(work ?? [], storage);
    const outcome = work === null ? 'undone' : 'finished';
    await cleanUp(place, storage, outcome);
    return outcome;
  } catch (error) {
    throw publicWriteError(error, place.path);
  }
}

/** A shard that is part of a larger rewrap: that one is recovered, if it is still there. */
async function recoverWhole(
  place: Place,
  journal: string,
  storage: Storage,
  options: RecoveryOptions,
): Promise<Recovery> {
  const suffix = journalOf('');
  if (!journal.endsWith(`.index.json${suffix}`) || (await storage.read(journal)) === null) {
    await storage.remove(place.journal);
    await storage.syncFolder(dirname(place.journal));
    return 'finished';
  }
  const whole = await findPlace(journal.slice(0, -suffix.length));
  const found = await recoverPlace(whole, storage, options);
  // Where the index does not name this shard any more, its mark is still there.
  await storage.remove(place.journal);
  return found;
}

/** When all is done the journal is removed before the marks on the shards, so these can be left alone. */
async function removeMarks(place: Place, storage: Storage, options: RecoveryOptions): Promise<Recovery> {
  if (!place.sharded) return 'nothing';
  let found: Recovery = 'nothing';
  for (const { path } of place.members) {
    const mark = journalOf(path);
    const bytes = await storage.read(mark);
    if (bytes === null) continue;
    const { owner, see } = decodeJournal(bytes);
    if (owner !== null && see !== place.journal) continue;
    refuseBusy(place, owner, options);
    await storage.remove(mark);
    found = 'finished';
  }
  return found;
}

function refuseBusy(place: Place, owner: JournalOwner | null, { mayBeAlive }: RecoveryOptions): void {
  const alive = owner === null ? false : isAlive(owner);
  if (alive === true || (alive === 'unknown' && !mayBeAlive)) throw busy(place, owner);
}

export function busy({ path, journal }: Place, owner: JournalOwner | null): CryptoTensorsError {
  const alive = owner === null || isAlive(owner) === true;
  return new CryptoTensorsError(
    'FileBusy',
    alive
      ? `${quote(path)} is being rewrapped${owner === null ? '' : ` by process ${owner.pid}`}: wait until that is done`
      : `a rewrap of ${quote(path)} was begun on ${quote(owner.host)} by process ${owner.pid}, and cannot be looked after from here. If that process is gone, finish its work with recoverFile or cryptotensors rewrap --recover; its journal is ${quote(journal)}`,
    { path },
  );
}

interface Work {
  change: Change;
  member: Member;
}

/** What is to be done, or a refusal if anything is not what the journal was written for. */
async function planRecovery(place: Place, changes: readonly Change[], storage: Storage): Promise<Work[]> {
  const work: Work[] = [];
  for (const change of changes) {
    const member = place.members.find(({ name }) => name === change.name);
    if (member === undefined || !(await fits(change, member, storage))) throw stale(place, change);
    // A shard may be a link to anywhere. Only who can write beside the file itself can have it changed.
    if (place.sharded && !(await isMarked(member.path, place, storage))) throw stale(place, change);
    work.push({ change, member });
  }
  return work;
}

async function fits(change: Change, { path }: Member, storage: Storage): Promise<boolean> {
  if (change.kind === 'swap') {
    const found = await storage.readStart(path, change.before.length);
    return found !== null && isBetween(found, change);
  }
  const isReplaced = await hasHeader(path, change.after, storage);
  if (isReplaced) return true;
  return (await hasHeader(path, change.before, storage)) && (await hasHeader(temporaryOf(path), change.after, storage));
}

async function hasHeader(path: string, { bytes, digest }: HeaderMark, storage: Storage): Promise<boolean> {
  const found = await storage.readStart(path, bytes);
  return found !== null && markOf(found).digest === digest;
}

function stale({ path, journal }: Place, { name }: Change): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileChanged',
    `an interrupted rewrap of ${quote(path)} cannot be finished: ${quote(name)} is not the file any more that it was begun with. If the files are what they should be, remove ${quote(journal)}`,
    { path },
  );
}

/** One change, also if it was done already, in part or wholly. */
export async function carryOut(change: Change, { path }: Member, storage: Storage): Promise<void> {
  if (change.kind === 'replace') {
    const temporary = temporaryOf(path);
    if ((await storage.readStart(temporary, 0)) !== null) await storage.rename(temporary, path);
    return;
  }
  const file = await storage.open(path);
  try {
    await file.write(change.after, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes renames durable, before the journal that could repeat them goes. */
export async function syncFolders(work: readonly Work[], storage: Storage): Promise<void> {
  const replaced = work.filter(({ change }) => change.kind === 'replace');
  for (const folder of new Set(replaced.map(({ member }) => dirname(member.path)))) await storage.syncFolder(folder);
}

/**
 * Removes temporary files and journals. Of a sharded model its own journal goes first if the rewrap is finished, and last if it was
 * undone: a mark on a shard without a journal means that all is done.
 */
async function cleanUp(place: Place, storage: Storage, outcome: 'undone' | 'finished'): Promise<void> {
  const marks: string[] = [];
  for (const { path } of place.members) {
    if (place.sharded) {
      if (!(await hasOurMark(path, place, storage))) continue;
      marks.push(journalOf(path));
    }
    await storage.remove(temporaryOf(path));
  }
  await removeJournals(place.journal, marks, outcome, storage);
}

export async function removeJournals(
  journal: string,
  marks: readonly string[],
  outcome: 'undone' | 'finished',
  storage: Storage,
): Promise<void> {
  const files = outcome === 'finished' ? [journal, ...marks] : [...marks, journal];
  for (const file of files) await storage.remove(file);
  // Not a matter of safety: a journal that comes back after a crash of the machine is found to be done.
  for (const folder of new Set(files.map((file) => dirname(file)))) await storage.syncFolder(folder);
}

/** Whether a shard is part of this rewrap, and not of one of its own. */
async function isMarked(path: string, place: Place, storage: Storage): Promise<boolean> {
  const bytes = await storage.read(journalOf(path));
  return bytes !== null && decodeJournal(bytes).see === place.journal;
}

/** The same, or a mark that its maker did not live to write: nobody else's business. */
async function hasOurMark(path: string, place: Place, storage: Storage): Promise<boolean> {
  const bytes = await storage.read(journalOf(path));
  if (bytes === null) return false;
  const { owner, see } = decodeJournal(bytes);
  return owner === null || see === place.journal;
}
