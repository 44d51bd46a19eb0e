import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import type { Engine } from '../engine/types.js';
import { couldReplace } from '../files/ownership.js';
import { openRegular } from '../files/regular-file.js';
import type { RegularFile } from '../files/regular-file.js';
import { realPath, statusOf } from '../files/status.js';
import { LENGTH_BYTES } from '../format/canonical.js';
import { isIndexName } from '../model/shards.js';
import { openSource, readRaw } from '../model/source.js';
import type { Twin } from '../twin.js';
import { headerBytesOf, isBetween, markOf, readChange, readEntries, readPage } from './journal.js';
import type { Entry, HeaderMark, HeaderSwap } from './journal.js';
import { journalOf, temporaryOf } from './page.js';
import { hasOwn } from '../options.js';

/**
 * What readers do about a rewrap that was interrupted, or that is under way while they read: they never see a header that is
 * neither the old one nor the new one. Nothing here is trusted; headers that are found are verified like any other. Nothing is
 * opened but journals beside the files of the model, and of them no more is read than those files' own headers take.
 */

/** Refusals that another header would not change. */
const OTHERWISE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'FileError', 'PolicyDenied', 'PolicyError', 'LicenseExpired', 'LicenseNotYetValid', 'InvalidOption', 'Closed',
  'NativeUnavailable',
]); // prettier-ignore

/** Whether an opening may have failed because the header was overwritten only in part. */
export function isOfHeader(error: unknown): boolean {
  return error instanceof CryptoTensorsError && !OTHERWISE.has(error.code);
}

/**
 * The headers that a file may be opened with in place of its own, the best first, where its own was overwritten only in part.
 * Nothing if that is not what is wrong with it.
 */
export function* headersInTransit(path: string, engine: Engine): Twin<readonly Uint8Array[]> {
  const real = yield* realPath(path);
  if (real === null) return [];
  const length = yield* headerLengthOf(path, engine);
  const swap = length === null ? null : yield* findSwap(real, path, length);
  if (swap === null) return [];
  const found = yield* readStart(path, swap.before.length, engine);
  const isTorn =
    found !== null && (yield* isBetween(found, swap)) && !equal(found, swap.before) && !equal(found, swap.after);
  // The new one first: once the journal is whole, the rewrap counts as done.
  return isTorn ? [swap.after, swap.before] : [];
}

/** The change of a file, in its own journal or in that of the sharded model that it is part of. */
function* findSwap(real: string, given: string, length: number): Twin<HeaderSwap | null> {
  const name = basename(real);
  const own = yield* reading(journalOf(real), [real], function* (file) {
    const { bytes, page } = yield* readPage(file);
    if (page === null) return null;
    return page.whole ?? (yield* readSwap(file, bytes, (entry) => entry.name === name, length));
  });
  if (own === null || hasOwn(own, 'before')) return own;
  const { token, index } = own;
  if (!isIndexName(index)) return null;
  // A mark: the journal that it speaks of lies beside the file, or beside the link that led to it, and nowhere else.
  const folders = new Set([dirname(real), yield* realPath(dirname(given))]);
  const names = new Set([name, basename(given)]);
  for (const folder of folders) {
    if (folder === null) continue;
    const swap = yield* reading(journalOf(join(folder, index)), [real], function* (file) {
      const { bytes, page } = yield* readPage(file);
      return page?.token === token ? yield* readSwap(file, bytes, (entry) => names.has(entry.name), length) : null;
    });
    if (swap !== null) return swap;
  }
  return null;
}

/** Of a journal the one swap that is wanted, if its headers are as long as the file's. */
function* readSwap(
  file: RegularFile,
  page: Uint8Array,
  isWanted: (entry: Entry) => boolean,
  length: number,
): Twin<HeaderSwap | null> {
  const entry = (yield* readEntries(file, page))?.find(isWanted);
  if (entry?.kind !== 'swap' || entry.before.bytes !== length) return null;
  const change = yield* readChange(file, entry);
  return change?.kind === 'swap' ? change : null;
}

/**
 * What a file beside the model says; null if it is not there, is no regular file or cannot be read, and if it belongs to somebody
 * who could not replace every one of the files that it speaks of: what is not signed, or was once, he could otherwise have read in their stead.
 */
function* reading<Result>(
  path: string,
  files: readonly string[],
  read: (file: RegularFile) => Twin<Result | null>,
): Twin<Result | null> {
  let file: RegularFile | null = null;
  try {
    file = yield* openRegular(path);
    if (file === null) return null;
    for (const model of files) if (!(yield* couldReplace(file.owner, model))) return null;
    return yield* read(file);
  } catch {
    return null;
  } finally {
    file?.close();
  }
}

/** How long a file's header is with its 8 bytes of length, as far as the file is that long; null where it cannot be read. */
function* headerLengthOf(path: string, engine: Engine): Twin<number | null> {
  const start = yield* readStart(path, LENGTH_BYTES, engine);
  return start === null ? null : headerBytesOf(start);
}

/** The first bytes of a regular file, fewer if it is shorter; null where they cannot be read, for whatever reason. */
function* readStart(path: string, length: number, engine: Engine): Twin<Uint8Array | null> {
  try {
    const source = yield* openSource(path, engine);
    try {
      const bytes = new Uint8Array(Math.min(length, source.size));
      yield* readRaw(engine, source, 0, bytes);
      return bytes;
    } finally {
      source.close();
    }
  } catch {
    return null;
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** How one shard is to be opened: from which file, with which header in place of its own. */
export interface ShardView {
  path: string;
  header: Uint8Array | undefined;
}

/**
 * How the shards of a model that is being rewrapped can be opened so that all are new, or all old: the best first. Null if nothing
 * of the kind is going on.
 */
export function* shardViews(
  index: string,
  shardPaths: readonly string[],
  engine: Engine,
): Twin<readonly ShardView[][] | null> {
  return yield* reading(journalOf(index), shardPaths, function* (file) {
    const { bytes, token } = yield* readPage(file);
    const entries = new Map((yield* readEntries(file, bytes))?.map((entry) => [entry.name, entry]));
    const after: ShardView[] = [];
    const before: (ShardView | null)[] = [];
    for (const path of shardPaths) {
      const entry = entries.get(basename(path));
      const views = entry === undefined ? null : yield* viewsOf({ file, entry, token }, path, engine);
      // A journal of other files, or one that is not whole: it has nothing to say about these.
      if (views === null) return null;
      after.push(views.after);
      before.push(views.before);
    }
    const old = before.filter((view) => view !== null);
    return old.length === before.length ? [after, old] : [after];
  });
}

/** What the journal of a model says of one shard. */
interface ShardEntry {
  file: RegularFile;
  entry: Entry;
  token: string;
}

function* viewsOf(
  { file, entry, token }: ShardEntry,
  path: string,
  engine: Engine,
): Twin<{ after: ShardView; before: ShardView | null } | null> {
  const own: ShardView = { path, header: undefined };
  const length = yield* headerLengthOf(path, engine);
  if (length === null) return null;
  if (entry.kind === 'swap') {
    const swap = length === entry.before.bytes ? yield* readChange(file, entry) : null;
    if (swap?.kind !== 'swap') return null;
    const found = yield* readStart(path, length, engine);
    if (found === null || !(yield* isBetween(found, swap))) return null;
    return { after: { path, header: swap.after }, before: { path, header: swap.before } };
  }
  const found = yield* markAt(path, length, engine);
  if (isMark(found, entry.after)) return { after: own, before: null };
  const temporary = temporaryOf((yield* realPath(path)) ?? path, token);
  const isReady = isMark(found, entry.before) && (yield* isPrepared(temporary, path, entry.after));
  if (!isReady) return null;
  return { after: { path: temporary, header: undefined }, before: own };
}

function* markAt(path: string, length: number, engine: Engine): Twin<HeaderMark | null> {
  if (!Number.isFinite(length)) return null;
  const found = yield* readStart(path, length, engine);
  return found === null ? null : yield* markOf(found);
}

/** Whether the file that is to replace another one lies ready: the file itself, and no link to one. */
function* isPrepared(path: string, model: string, mark: HeaderMark): Twin<boolean> {
  const found = yield* reading(path, [model], function* (file) {
    return yield* markOf(yield* file.read(0, mark.bytes));
  });
  return isMark(found, mark);
}

function isMark(found: HeaderMark | null, wanted: HeaderMark): boolean {
  return found !== null && found.bytes === wanted.bytes && found.digest === wanted.digest;
}

/**
 * Whether a file's header is not what it was when it was refused, so that what was read may have been something in between. A time
 * of a file says nothing about that: it can be set, and lie in the future.
 *
 * @param seen the text of the header that was refused
 */
export function* isAnotherHeader(path: string, engine: Engine, seen: Uint8Array): Twin<boolean> {
  const now = yield* readStart(path, LENGTH_BYTES + seen.length, engine);
  return now !== null && (headerBytesOf(now) !== now.length || !equal(now.subarray(LENGTH_BYTES), seen));
}

/** Something that differs once any of these files was written to, replaced, created or removed. */
export function* fingerprint(paths: readonly string[]): Twin<string> {
  const parts: string[] = [];
  for (const path of paths) {
    const status = yield* statusOf(path);
    parts.push(status === null ? '-' : `${status.ino} ${status.size} ${status.mtimeNs}`);
  }
  return parts.join(', ');
}
