import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import type { Engine } from '../engine/types.js';
import { realPath, statusOf } from '../files/status.js';
import type { Twin } from '../twin.js';
import { MAX_JOURNAL_BYTES, decodeJournal, isBetween, journalOf, markOf, temporaryOf } from './journal.js';
import type { Change, HeaderMark, HeaderSwap, Journal } from './journal.js';
import { isPlainName } from '../model/shards.js';
import { readStart } from './stored.js';

/**
 * What readers do about a rewrap that was interrupted, or that is under way while they read: they never see a header that is
 * neither the old one nor the new one. Nothing here is trusted; headers that are found are verified like any other.
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

/** Clocks of file systems are this coarse, in milliseconds. */
const CLOCK_TICK = 50;

/** Whether a file was written to while it was read, so that what was read may be something in between. */
export function* wasWrittenSince(path: string, time: number): Twin<boolean> {
  const status = yield* statusOf(path);
  return status !== null && Number(status.mtimeMs) >= time - CLOCK_TICK;
}

/**
 * The headers that a file may be opened with in place of its own, the best first, where its own was overwritten only in part.
 * Nothing if that is not what is wrong with it.
 */
export function* headersInTransit(path: string, engine: Engine): Twin<readonly Uint8Array[]> {
  const real = yield* realPath(path);
  const swap = real === null ? null : yield* findSwap(real, engine);
  if (swap === null) return [];
  const found = yield* readStart(real!, swap.before.length, engine);
  const isTorn = found !== null && isBetween(found, swap) && !equal(found, swap.before) && !equal(found, swap.after);
  // The new one first: once the journal is whole, the rewrap counts as done.
  return isTorn ? [swap.after, swap.before] : [];
}

/** The journal's entry for a file, in its own journal or in that of the sharded model that it is part of. */
function* findSwap(real: string, engine: Engine): Twin<HeaderSwap | null> {
  const journal = yield* readJournal(journalOf(real), engine);
  if (journal === null) return null;
  if (journal.see === null) {
    const change = journal.changes?.find(({ name }) => name === basename(real));
    return change?.kind === 'swap' ? change : null;
  }
  const whole = yield* readJournal(journal.see, engine);
  for (const change of whole?.changes ?? []) {
    if (change.kind !== 'swap' || !isPlainName(change.name)) continue;
    if ((yield* realPath(join(dirname(journal.see), change.name))) === real) return change;
  }
  return null;
}

function* readJournal(path: string, engine: Engine): Twin<Journal | null> {
  const bytes = yield* readStart(path, MAX_JOURNAL_BYTES, engine);
  return bytes === null ? null : decodeJournal(bytes);
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
  const changes = (yield* readJournal(journalOf(index), engine))?.changes ?? null;
  if (changes === null || changes.length === 0) return null;
  const after: ShardView[] = [];
  const before: (ShardView | null)[] = [];
  for (const path of shardPaths) {
    const change = changes.find(({ name }) => name === basename(path));
    const views = change === undefined ? null : yield* viewsOf(change, path, engine);
    // A journal of other files: it has nothing to say about these.
    if (views === null) return null;
    after.push(views.after);
    before.push(views.before);
  }
  const old = before.filter((view) => view !== null);
  return old.length === before.length ? [after, old] : [after];
}

function* viewsOf(
  change: Change,
  path: string,
  engine: Engine,
): Twin<{ after: ShardView; before: ShardView | null } | null> {
  const own: ShardView = { path, header: undefined };
  if (change.kind === 'swap') {
    const found = yield* readStart(path, change.before.length, engine);
    if (found === null || !isBetween(found, change)) return null;
    return { after: { path, header: change.after }, before: { path, header: change.before } };
  }
  if (yield* hasHeader(path, change.after, engine)) return { after: own, before: null };
  const temporary = temporaryOf((yield* realPath(path)) ?? path);
  const isReady =
    (yield* hasHeader(path, change.before, engine)) && (yield* hasHeader(temporary, change.after, engine));
  if (!isReady) return null;
  return { after: { path: temporary, header: undefined }, before: own };
}

function* hasHeader(path: string, mark: HeaderMark, engine: Engine): Twin<boolean> {
  const found = yield* readStart(path, mark.bytes, engine);
  return found !== null && markOf(found).digest === mark.digest;
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
