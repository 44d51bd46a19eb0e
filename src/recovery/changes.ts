import { CryptoTensorsError, quotePath } from '../errors.js';
import { isTrustedUser } from '../files/ownership.js';
import type { RegularFile } from '../files/regular-file.js';
import type { Storage } from '../files/storage.js';
import { LENGTH_BYTES } from '../format/canonical.js';
import { runAsync } from '../twin.js';
import { headerBytesOf, isBetween, markOf } from './journal.js';
import type { Change, Entry, HeaderMark, HeaderSwap, Replacement } from './journal.js';
import { temporaryOf } from './page.js';
import { hasOwn, withoutPrototype } from '../options.js';

/** A file that is changed, and the token of the rewrap that does it. */
export interface Target {
  path: string;
  token: string;
  /** The user whose journal asks for it; left out: this rewrap itself, which holds what it has made. */
  maker?: number;
}

/**
 * Whether a change can have been meant for what is there: done already, in part or wholly, or not yet. Of an entry, whose headers
 * were not read yet, only what can be told without them.
 */
export async function fits(change: Change | Entry, { path, token }: Target, storage: Storage): Promise<boolean> {
  if (change.kind === 'replace') {
    const found = await markAt(path, change, storage);
    if (found === 'after') return true;
    return found === 'before' && (await markAt(temporaryOf(path, token), change, storage)) === 'after';
  }
  return reading(path, storage, async (file) => {
    if (hasOwn(change, 'offset')) return (await headerLength(file)) === change.before.bytes;
    return runAsync(isBetween(await runAsync(file.read(0, change.before.length)), change));
  });
}

async function headerLength(file: RegularFile): Promise<number> {
  return headerBytesOf(await runAsync(file.read(0, LENGTH_BYTES)));
}

/** Which header a file has: as long as neither is longer than what stands in the file, that much of it is read. */
async function markAt(
  path: string,
  { before, after }: Replacement,
  storage: Storage,
): Promise<'before' | 'after' | 'other'> {
  return reading(path, storage, (file) => markOfFile(file, before, after)).then((mark) => mark || 'other');
}

async function markOfFile(
  file: RegularFile,
  before: HeaderMark,
  after: HeaderMark,
): Promise<'before' | 'after' | 'other'> {
  const length = await headerLength(file);
  if (length !== before.bytes && length !== after.bytes) return 'other';
  const found = await runAsync(markOf(await runAsync(file.read(0, length))));
  const isOne = (mark: HeaderMark): boolean => mark.bytes === found.bytes && mark.digest === found.digest;
  if (isOne(after)) return 'after';
  return isOne(before) ? 'before' : 'other';
}

async function reading<Result>(
  path: string,
  storage: Storage,
  work: (file: RegularFile) => Promise<Result>,
): Promise<Result | false> {
  const file = await storage.openToRead(path);
  if (file === null) return false;
  try {
    return await work(file);
  } finally {
    file.close();
  }
}

/**
 * One change, also if it was done already, in part or wholly. What is looked at and what is written to is one descriptor.
 *
 * @throws {CryptoTensorsError} `FileChanged` if somebody puts something else in the place of a file meanwhile; `FileError`
 */
export async function carryOut(change: Change, target: Target, storage: Storage): Promise<void> {
  if (change.kind === 'swap') await overwrite(target, change, change.after, storage);
  else await replace(target, change, storage);
}

/** Puts the old header back. */
export async function takeBack(change: HeaderSwap, target: Target, storage: Storage): Promise<void> {
  await overwrite(target, change, change.before, storage);
}

async function overwrite(target: Target, swap: HeaderSwap, header: Uint8Array, storage: Storage): Promise<void> {
  const { path, maker } = withoutPrototype(target);
  const file = await storage.open(path);
  if (file === null) throw changed(path);
  try {
    // Somebody who leaves a journal beside his own file must not have it carried out on one that he puts in its place.
    if (maker !== undefined && !isTrustedUser(maker) && file.owner !== maker) throw changed(path);
    if (!(await runAsync(isBetween(await file.read(0, header.length), swap)))) throw changed(path);
    await file.write(header, 0);
    await file.sync();
    if (!(await file.isAt(path))) throw changed(path);
  } finally {
    await file.close();
  }
}

async function replace({ path, token, maker }: Target, change: Replacement, storage: Storage): Promise<void> {
  const temporary = temporaryOf(path, token);
  const file = await storage.openToRead(temporary);
  if (file === null) {
    if ((await markAt(path, change, storage)) === 'after') return;
    throw changed(path);
  }
  try {
    if (maker !== undefined && !isTrustedUser(file.owner) && file.owner !== (await ownerOf(path, storage))) {
      throw foreign(temporary, file.owner);
    }
    if ((await markOfFile(file, change.before, change.after)) !== 'after') throw changed(temporary);
    await storage.rename(temporary, path);
    if (!(await runAsync(file.isAt(storage.at(path))))) throw changed(path);
  } finally {
    file.close();
  }
}

async function ownerOf(path: string, storage: Storage): Promise<number | null> {
  const file = await storage.openToRead(path);
  file?.close();
  return file?.owner ?? null;
}

/** The journal tells everybody under which name the new file lies. */
function foreign(temporary: string, owner: number): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileBusy',
    `${quotePath(temporary)} should be the file that an interrupted rewrap has prepared, but it belongs to user ${owner}: it is not put in the place of the model. Remove it, and try again`,
    { path: temporary, found: `a file of user ${owner}` },
  );
}

/** Whether what is to replace a file has done so. */
export async function isReplaced(target: Target, storage: Storage): Promise<boolean> {
  const file = await storage.openToRead(temporaryOf(target.path, target.token));
  file?.close();
  return file === null;
}

/**
 * Whether a file is still the one that was opened.
 *
 * @param opened its header with the 8 bytes of length
 */
export async function isUnchanged(path: string, opened: Uint8Array, size: number, storage: Storage): Promise<boolean> {
  return reading(path, storage, async (file) => {
    if (file.size !== size) return false;
    return Buffer.compare(await runAsync(file.read(0, opened.length)), opened) === 0;
  });
}

function changed(path: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileChanged',
    `${quotePath(path)} was replaced or changed by somebody else while its header was. Look at what it is now; what was not begun is left as it was`,
    { path },
  );
}
