import { dirname } from 'node:path';
import { CryptoTensorsError, detailsOf, quotePath } from '../errors.js';
import { publicWriteError } from '../files/atomic-write.js';
import type { Storage, StorageFile } from '../files/storage.js';
import { carryOut, isReplaced, isUnchanged, takeBack } from '../recovery/changes.js';
import { encodeChanges } from '../recovery/journal.js';
import type { Change } from '../recovery/journal.js';
import { makeLock } from '../recovery/lock.js';
import { thisProcess } from '../recovery/owner.js';
import { PAGE_BYTES, encodePage, journalOf, newToken, temporaryOf } from '../recovery/page.js';
import { locationOfFile, wholeModel } from '../recovery/model-location.js';
import type { Member, ModelLocation } from '../recovery/model-location.js';
import { busy, isMarked, recoverAt, syncFolders } from '../recovery/recovery.js';
import { runAsync } from '../twin.js';

/** A change of one file, and what the file must still be for it. */
export interface PlannedChange {
  change: Change;
  member: Member;
  /** The header that the change was made from, with its 8 bytes of length, and the size of the file. */
  opened: Uint8Array;
  size: number;
}

/** As often a lock is tried for that others leave behind or remove meanwhile. */
const MAX_ATTEMPTS = 5;

/**
 * Changes the headers of all files of a model, or of none, also when the process or the machine dies meanwhile:
 *
 * 1. `begin` makes the journal, which nobody else can then do: one rewrap at a time.
 * 2. `commit` writes all that is needed to finish into it and flushes it. From here on the model is the new one.
 * 3. Headers are overwritten where they stand and flushed; files that needed more room are renamed to their places. Before each
 *    it is looked whether journal and mark are still ours.
 * 4. The journal is removed.
 *
 * Before 2 is done nothing was touched; after it anybody can finish (`recoverAt`), and readers look into the journal.
 */
export class Transaction {
  readonly #location: ModelLocation;
  readonly #storage: Storage;
  readonly #token = newToken();
  readonly #page = encodePage({ token: this.#token, owner: thisProcess(), whole: null });
  /** Shards that are marked as being part of this. */
  readonly #marked: Member[] = [];
  readonly #temporaries: string[] = [];
  /** The journal, which stays open: under its name somebody else's could be found. */
  #journal: StorageFile | null = null;
  #ended = false;

  private constructor(location: ModelLocation, storage: Storage) {
    this.#location = location;
    this.#storage = storage;
  }

  /**
   * Excludes all others. What a process that is gone has left is finished or undone first.
   *
   * @throws {CryptoTensorsError} `FileBusy` if a rewrap is under way, or was interrupted on another machine; `FileError`
   */
  static async begin(location: ModelLocation, storage: Storage): Promise<Transaction> {
    const transaction = new Transaction(location, storage);
    try {
      transaction.#journal = await transaction.#lock(transaction.#page, location);
    } catch (error) {
      throw about(location, publicWriteError(error, location.path));
    }
    try {
      if (location.sharded) await transaction.#markShards();
    } catch (error) {
      throw await transaction.abandon(about(location, publicWriteError(error, location.path)));
    }
    return transaction;
  }

  /** So that nobody rewraps a shard by itself meanwhile, and so that who reads one by itself finds the journal. */
  async #markShards(): Promise<void> {
    const { journal, members, folders } = this.#location;
    // A mark without a journal means that all is done, so the journal must not be lost before the mark.
    await this.#storage.syncFolder(dirname(journal));
    const page = encodePage({
      token: newToken(),
      owner: thisProcess(),
      whole: wholeModel(this.#location, this.#token),
    });
    for (const member of members) {
      const file = await this.#lock(page, locationOfFile(member.path, member.path, folders[0]!));
      this.#marked.push(member);
      await file.close();
    }
    // Who finishes this after a crash of the machine goes by the marks.
    for (const folder of new Set(members.map(({ path }) => dirname(path)))) await this.#storage.syncFolder(folder);
  }

  /** Makes a journal or a mark. One that is there already is recovered if its owner is gone. */
  async #lock(page: Uint8Array, location: ModelLocation): Promise<StorageFile> {
    for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
      const file = await makeLock(location.journal, page, this.#storage);
      if (file !== null) return file;
      await recoverAt(location, this.#storage, { mayBeAlive: false });
    }
    throw busy(location, null);
  }

  /** Where to put a file that is to replace one of the model's. Nothing is there. */
  async temporaryFor({ path }: Member): Promise<string> {
    const temporary = temporaryOf(path, this.#token);
    this.#temporaries.push(temporary);
    // Who finds no journal after a crash of the machine looks for no such file either.
    await this.#storage.syncFolder(dirname(this.#location.journal));
    return this.#storage.at(temporary);
  }

  /**
   * Carries out the changes. On return all files are new; if it throws, all are old, but for what the message says.
   *
   * @throws {CryptoTensorsError} `FileChanged` if a file is not what it was when it was opened; `FileBusy` if somebody removed
   * the journal; `FileError`
   */
  async commit(planned: readonly PlannedChange[]): Promise<void> {
    for (const { opened, size, member } of planned) {
      if (!(await isUnchanged(member.path, opened, size, this.#storage))) throw changed(member);
    }
    const changes = planned.map(({ change }) => change);
    await this.#writeJournal(await runAsync(encodeChanges(this.#page, changes)));
    const done: PlannedChange[] = [];
    try {
      for (const item of inOrder(planned)) {
        await this.#assertOurs(item.member);
        done.push(item);
        await carryOut(item.change, this.#target(item), this.#storage);
      }
      await syncFolders(planned, this.#storage);
    } catch (error) {
      const cause = publicWriteError(error, done.at(-1)?.member.path ?? this.#location.path);
      throw await this.#undo(done, cause);
    }
    this.#ended = true;
    // A journal that cannot be removed does no harm: whoever looks at it finds that all is done.
    await this.#cleanUp('finished').catch(() => undefined);
  }

  async #writeJournal(changes: Uint8Array): Promise<void> {
    const { journal } = this.#location;
    try {
      // The page stays what it is: at no moment has the journal no owner.
      await this.#journal!.write(changes, PAGE_BYTES);
      await this.#journal!.sync();
      await this.#storage.syncFolder(dirname(journal));
    } catch (error) {
      throw publicWriteError(error, journal);
    }
    await this.#assertOurs(null);
  }

  /** Nobody may have removed the journal, or the mark on a shard, and begun a rewrap of their own. */
  async #assertOurs(member: Member | null): Promise<void> {
    const { path, journal, sharded } = this.#location;
    const isOurs =
      (await this.#journal!.isAt(journal)) &&
      (member === null || !sharded || (await isMarked(member.path, this.#token, this.#storage)));
    if (isOurs) return;
    throw new CryptoTensorsError(
      'FileBusy',
      `somebody removed the journal of the rewrap of ${quotePath(path)} (${quotePath(journal)}) while it was at work. Nothing was changed; start again once nobody else is at it`,
      { path },
    );
  }

  #target({ member }: PlannedChange): { path: string; token: string } {
    return { path: member.path, token: this.#token };
  }

  /** The disk failed in the middle. While no file was replaced, the old headers can be put back; else others must finish. */
  async #undo(done: readonly PlannedChange[], cause: unknown): Promise<unknown> {
    try {
      for (const item of done) {
        if (item.change.kind === 'swap') await takeBack(item.change, this.#target(item), this.#storage);
        else if (await isReplaced(this.#target(item), this.#storage)) throw new Error('a file was replaced');
      }
    } catch {
      await this.#journal!.close();
      return new CryptoTensorsError(
        'FileError',
        `the rewrap of ${quotePath(this.#location.path)} could be neither finished nor undone: ${(cause as Error).message}. Nothing is lost: ${quotePath(this.#location.journal)} keeps what is needed. Once the cause is gone, finish it with recoverFile or cryptotensors rewrap --recover`,
        { path: this.#location.path, cause },
      );
    } finally {
      this.#ended = true;
    }
    return this.#cleanUpAfter(cause);
  }

  /**
   * Gives up, as long as nothing was touched; afterwards it does nothing.
   *
   * @returns the error that was the reason, which also says what could not be cleaned up
   */
  async abandon(cause: unknown): Promise<unknown> {
    if (this.#ended) return cause;
    this.#ended = true;
    return this.#cleanUpAfter(cause);
  }

  async #cleanUpAfter(cause: unknown): Promise<unknown> {
    try {
      await this.#cleanUp('undone');
      return cause;
    } catch (error) {
      if (!(cause instanceof CryptoTensorsError)) return cause;
      const left = (publicWriteError(error, this.#location.journal) as Error).message;
      return new CryptoTensorsError(
        cause.code,
        `${cause.message}. Besides, what this rewrap left could not be removed (${left}): recoverFile or cryptotensors rewrap --recover does that later`,
        { ...detailsOf(cause), cause },
      );
    }
  }

  /** Removes the temporary files, the journal and the marks, as far as they are still ours. */
  async #cleanUp(outcome: 'undone' | 'finished'): Promise<void> {
    const { journal } = this.#location;
    const isOurs = await this.#journal!.isAt(journal);
    await this.#journal!.close();
    if (!isOurs) return;
    for (const temporary of this.#temporaries) await this.#storage.remove(temporary);
    const marks: string[] = [];
    for (const { path } of this.#marked) {
      if (await isMarked(path, this.#token, this.#storage)) marks.push(journalOf(path));
    }
    // A mark without a journal means that all is done.
    const files = outcome === 'finished' ? [journal, ...marks] : [...marks, journal];
    for (const file of files) await this.#storage.remove(file);
    // Not a matter of safety: a journal that comes back after a crash of the machine is found to be done.
    for (const folder of new Set(files.map((file) => dirname(file)))) await this.#storage.syncFolder(folder);
  }
}

/** Swaps first: as long as no file was replaced, all can be undone. */
function inOrder(planned: readonly PlannedChange[]): readonly PlannedChange[] {
  const isSwap = ({ change }: PlannedChange): boolean => change.kind === 'swap';
  return [...planned.filter(isSwap), ...planned.filter((item) => !isSwap(item))];
}

/** What goes wrong with a journal or a mark is about the model, and the message names both. */
function about({ path }: ModelLocation, error: unknown): unknown {
  if (!(error instanceof CryptoTensorsError) || error.code !== 'FileError' || error.path === path) return error;
  return new CryptoTensorsError('FileError', `${quotePath(path)} could not be rewrapped: ${error.message}`, {
    ...detailsOf(error),
    path,
    cause: error,
  });
}

function changed({ path }: Member): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileChanged',
    `${quotePath(path)} was changed while its new header was made. It was left as it is; start again`,
    { path },
  );
}
