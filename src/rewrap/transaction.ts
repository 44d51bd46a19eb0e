import { dirname } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import { encodeJournal, encodeOwner, journalOf, temporaryOf } from '../recovery/journal.js';
import type { Change } from '../recovery/journal.js';
import { publicWriteError } from '../writer/atomic-file.js';
import { thisProcess } from './owner.js';
import type { Member, Place } from './place.js';
import { busy, carryOut, recoverPlace, removeJournals, syncFolders } from './recovery.js';
import type { Storage, StorageFile } from './storage.js';

/** A change of one file, and what the file must still be for it. */
export interface PlannedChange {
  change: Change;
  member: Member;
  /** The header that the change was made from, with its 8 bytes of length, and the size of the file. */
  opened: Uint8Array;
  size: number;
}

/**
 * Changes the headers of all files of a model, or of none, also when the process or the machine dies meanwhile:
 *
 * 1. `begin` creates the journal, which nobody else can then do: one rewrap at a time.
 * 2. `commit` writes all that is needed to finish into it and flushes it. From here on the model is the new one.
 * 3. Headers are overwritten where they stand and flushed; files that needed more room are renamed to their places.
 * 4. The journal is removed.
 *
 * Before 2 is done nothing was touched; after it anybody can finish (`recoverPlace`), and readers look into the journal.
 */
export class Transaction {
  readonly #place: Place;
  readonly #storage: Storage;
  readonly #ownerPage = encodeOwner(thisProcess(), null);
  /** Shards that are marked as being part of this. */
  readonly #marked: Member[] = [];
  readonly #temporaries: string[] = [];
  /** The journal, which stays open: under its name somebody else's could be found. */
  #journal: StorageFile | null = null;
  #ended = false;

  private constructor(place: Place, storage: Storage) {
    this.#place = place;
    this.#storage = storage;
  }

  /**
   * Excludes all others. What a process that is gone has left is finished or undone first.
   *
   * @throws {CryptoTensorsError} `FileBusy` if a rewrap is under way, or was interrupted on another machine; `FileError`
   */
  static async begin(place: Place, storage: Storage): Promise<Transaction> {
    const transaction = new Transaction(place, storage);
    try {
      transaction.#journal = await transaction.#lock(place.journal, transaction.#ownerPage, place);
    } catch (error) {
      throw publicWriteError(error, place.path);
    }
    try {
      if (place.sharded) await transaction.#markShards();
    } catch (error) {
      await transaction.abandon();
      throw publicWriteError(error, place.path);
    }
    return transaction;
  }

  /** So that nobody rewraps a shard by itself meanwhile, and so that who reads one by itself finds the journal. */
  async #markShards(): Promise<void> {
    // A mark without a journal means that all is done, so the journal must not be lost before the mark.
    await this.#storage.syncFolder(dirname(this.#place.journal));
    const page = encodeOwner(thisProcess(), this.#place.journal);
    for (const member of this.#place.members) {
      const journal = journalOf(member.path);
      const file = await this.#lock(journal, page, { path: member.path, journal, members: [member], sharded: false });
      await file.close();
      this.#marked.push(member);
    }
    // Who finishes this after a crash of the machine goes by the marks.
    for (const folder of new Set(this.#marked.map(({ path }) => dirname(path)))) await this.#storage.syncFolder(folder);
  }

  /** Creates a journal with its first page. One that is there already is recovered if its owner is gone. */
  async #lock(journal: string, page: Uint8Array, place: Place): Promise<StorageFile> {
    try {
      return await this.#create(journal, page);
    } catch (error) {
      if (!isTaken(error)) throw error;
    }
    await recoverPlace(place, this.#storage, { mayBeAlive: false });
    try {
      return await this.#create(journal, page);
    } catch (error) {
      throw isTaken(error) ? busy(place, null) : error;
    }
  }

  async #create(path: string, page: Uint8Array): Promise<StorageFile> {
    const file = await this.#storage.create(path);
    try {
      await file.write(page, 0);
      await file.sync();
      return file;
    } catch (error) {
      await file.close();
      await this.#storage.remove(path);
      throw error;
    }
  }

  /** Where to put a file that is to replace one of the model's. Nothing is there. */
  async temporaryFor({ path }: Member): Promise<string> {
    const temporary = temporaryOf(path);
    this.#temporaries.push(temporary);
    // Who finds no journal after a crash of the machine looks for no such file either.
    await this.#storage.syncFolder(dirname(this.#place.journal));
    await this.#storage.remove(temporary);
    return temporary;
  }

  /**
   * Carries out the changes. On return all files are new; if it throws, all are old, but for what the message says.
   *
   * @throws {CryptoTensorsError} `FileChanged` if a file is not what it was when it was opened; `FileError`
   */
  async commit(planned: readonly PlannedChange[]): Promise<void> {
    for (const { opened, size, member } of planned) await this.#refuseChanged(opened, size, member);
    const bytes = encodeJournal(
      this.#ownerPage,
      planned.map(({ change }) => change),
    );
    await this.#writeJournal(bytes);
    const done: PlannedChange[] = [];
    try {
      for (const item of inOrder(planned)) {
        done.push(item);
        await carryOut(item.change, item.member, this.#storage);
      }
      await syncFolders(planned, this.#storage);
    } catch (error) {
      const cause = publicWriteError(error, done.at(-1)?.member.path ?? this.#place.path);
      await this.#undo(done, cause);
      throw cause;
    }
    this.#ended = true;
    // A journal that cannot be removed does no harm: whoever looks at it finds that all is done.
    await this.#cleanUp('finished').catch(() => undefined);
  }

  async #writeJournal(bytes: Uint8Array): Promise<void> {
    const { path, journal } = this.#place;
    try {
      await this.#journal!.write(bytes, 0);
      await this.#journal!.sync();
      await this.#storage.syncFolder(dirname(journal));
      if (await this.#journal!.isAt(journal)) return;
    } catch (error) {
      throw publicWriteError(error, journal);
    }
    throw new CryptoTensorsError(
      'FileBusy',
      `somebody removed the journal of the rewrap of ${quote(path)} (${quote(journal)}) while it was at work. Nothing was changed; start again once nobody else is at it`,
      { path },
    );
  }

  async #refuseChanged(opened: Uint8Array, size: number, { path }: Member): Promise<void> {
    const found = await this.#storage.readStart(path, opened.length);
    if (found !== null && Buffer.compare(found, opened) === 0 && (await this.#storage.size(path)) === size) return;
    throw new CryptoTensorsError(
      'FileChanged',
      `${quote(path)} was changed while its new header was made. It was left as it is; start again`,
      { path },
    );
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.#storage.open(path);
    try {
      await file.write(bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** The disk failed in the middle. While no file was replaced, the old headers can be put back; else others must finish. */
  async #undo(done: readonly PlannedChange[], cause: unknown): Promise<void> {
    try {
      for (const { change, member } of done) {
        if (change.kind === 'swap') await this.#write(member.path, change.before);
        else if (await this.#isReplaced(member)) throw new Error('a file was replaced');
      }
    } catch {
      await this.#journal!.close();
      throw new CryptoTensorsError(
        'FileError',
        `the rewrap of ${quote(this.#place.path)} could be neither finished nor undone: ${(cause as Error).message}. Nothing is lost: ${quote(this.#place.journal)} keeps what is needed. Once the cause is gone, finish it with recoverFile or cryptotensors rewrap --recover`,
        { path: this.#place.path, cause },
      );
    } finally {
      this.#ended = true;
    }
    await this.#cleanUp('undone');
  }

  async #isReplaced({ path }: Member): Promise<boolean> {
    return (await this.#storage.readStart(temporaryOf(path), 0)) === null;
  }

  /** Gives up, as long as nothing was touched; afterwards it does nothing. */
  async abandon(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#cleanUp('undone');
  }

  async #cleanUp(outcome: 'undone' | 'finished'): Promise<void> {
    const isOurs = await this.#journal!.isAt(this.#place.journal);
    await this.#journal!.close();
    if (!isOurs) return;
    for (const temporary of this.#temporaries) await this.#storage.remove(temporary);
    const marks = this.#marked.map(({ path }) => journalOf(path));
    await removeJournals(this.#place.journal, marks, outcome, this.#storage);
  }
}

/** Swaps first: as long as no file was replaced, all can be undone. */
export function inOrder<Item extends { change: Change }>(planned: readonly Item[]): readonly Item[] {
  const isSwap = ({ change }: Item): boolean => change.kind === 'swap';
  return [...planned.filter(isSwap), ...planned.filter((item) => !isSwap(item))];
}

function isTaken(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EEXIST';
}
