import { createHash } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { LENGTH_BYTES, MAX_HEADER_BYTES } from '../format/canonical.js';

/**
 * The journal of a rewrap: what a file's header was and what it is to be, written beside the file before the header is
 * overwritten where it stands. With it a header that was overwritten in part is still the old one or the new one.
 *
 * A journal is as trustworthy as the folder that it lies in, no more: what is taken from one is verified like any other header.
 * So whoever plants a journal gains nothing that replacing the header would not give.
 *
 * On disk: a page that says who is at work; the length of a description and the description, JSON; of each header that is
 * swapped where it stands the old bytes and the new ones; SHA-256 of all that. A journal that is not whole, or whose digest does
 * not match, says only that nothing had been touched yet.
 */
export interface Journal {
  owner: JournalOwner | null;
  /** Path of the journal that says more: this one only marks a shard as being part of a larger rewrap. Null: none. */
  see: string | null;
  /** Null: not written yet, or not wholly. */
  changes: readonly Change[] | null;
}

/** A process, so that others can tell whether it is still there. */
export interface JournalOwner {
  pid: number;
  host: string;
  /** Of this start of the machine; null where the system does not tell, as below. */
  boot: string | null;
  /** The namespace that `pid` counts in. */
  namespace: string | null;
  /** When the process was started, in the system's own terms. */
  started: string | null;
}

/** A header that is overwritten where it stands. */
export interface HeaderSwap {
  kind: 'swap';
  /** The file, as the shard index names it, or the last part of its path. */
  name: string;
  /** Both from the first byte of the file to the data section, and so of one length. */
  before: Uint8Array;
  after: Uint8Array;
}

/** A file that another one replaces, which lies ready under `temporaryOf(path)`. */
export interface Replacement {
  kind: 'replace';
  name: string;
  /** The headers of the file that is there and of the new one. */
  before: HeaderMark;
  after: HeaderMark;
}

/** What a header is known by: its length with the 8 bytes before it, and SHA-256 of both, hexadecimal. */
export interface HeaderMark {
  bytes: number;
  digest: string;
}

export type Change = HeaderSwap | Replacement;

/** Room for a path of the longest kind, and for what JSON makes of it. */
const OWNER_BYTES = 16_384;
const DIGEST_BYTES = 32;
const MARK = 'cryptotensors rewrap journal 1';
/** A journal of a single file holds two headers of at most 100 MB; one of a sharded model those of all its shards. */
export const MAX_JOURNAL_BYTES = 2 ** 30;

/** Where the journal of a file, or of a shard index, lies. For a file `path` is the real one, behind symbolic links. */
export function journalOf(path: string): string {
  return `${path}.rewrap-journal`;
}

/** Where the file lies that is to replace `path`. Whoever holds the journal owns that name. */
export function temporaryOf(path: string): string {
  return join(dirname(path), `.${basename(path).slice(0, 200)}.rewrap.tmp`);
}

export function markOf(header: Uint8Array): HeaderMark {
  return { bytes: header.length, digest: createHash('sha256').update(header).digest('hex') };
}

/** The first page. It is written at once when a journal is made, and is the same ever after. */
export function encodeOwner(owner: JournalOwner, see: string | null): Uint8Array {
  const page = Buffer.alloc(OWNER_BYTES, ' ');
  const text = Buffer.from(JSON.stringify({ mark: MARK, ...owner, ...(see === null ? {} : { see }) }));
  if (text.length >= OWNER_BYTES) throw new RangeError('the path of a journal is too long to be written down');
  text.copy(page);
  page[OWNER_BYTES - 1] = 0x0a;
  return page;
}

/** All of a journal. */
export function encodeJournal(ownerPage: Uint8Array, changes: readonly Change[]): Uint8Array {
  const swaps = changes.filter((change) => change.kind === 'swap');
  const description = Buffer.from(
    JSON.stringify(
      changes.map((change) =>
        change.kind === 'swap' ? { ...change, before: markOf(change.before), after: markOf(change.after) } : change,
      ),
    ),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(description.length));
  const content = [ownerPage, length, description, ...swaps.flatMap(({ before, after }) => [before, after])];
  const digest = createHash('sha256');
  for (const part of content) digest.update(part);
  return Buffer.concat([...content, digest.digest()]);
}

/** What a journal says. Any bytes will do. */
export function decodeJournal(bytes: Uint8Array): Journal {
  const page = parseObject(bytes.subarray(0, OWNER_BYTES));
  if (page?.['mark'] !== MARK) return { owner: null, see: null, changes: null };
  const see = page['see'];
  return { owner: decodeOwner(page), see: typeof see === 'string' ? see : null, changes: decodeChanges(bytes) };
}

function decodeOwner({ pid, host, boot, namespace, started }: Record<string, unknown>): JournalOwner | null {
  if (typeof pid !== 'number' || typeof host !== 'string') return null;
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return { pid, host, boot: text(boot), namespace: text(namespace), started: text(started) };
}

function decodeChanges(bytes: Uint8Array): Change[] | null {
  const end = bytes.length - DIGEST_BYTES;
  if (end < OWNER_BYTES + 8) return null;
  const digest = createHash('sha256').update(bytes.subarray(0, end)).digest();
  if (!digest.equals(bytes.subarray(end))) return null;
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset + OWNER_BYTES).getBigUint64(0, true));
  const start = OWNER_BYTES + 8;
  if (length > end - start) return null;
  const list = parseJson(bytes.subarray(start, start + length));
  if (!Array.isArray(list)) return null;
  const changes: Change[] = [];
  let at = start + length;
  for (const item of list as unknown[]) {
    const { kind, name, before, after } = (item ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || !isMark(before) || !isMark(after)) return null;
    if (kind === 'replace') {
      changes.push({ kind, name, before, after });
      continue;
    }
    if (before.bytes !== after.bytes || after.bytes > (end - at) / 2) return null;
    const [middle, next] = [at + after.bytes, at + 2 * after.bytes];
    changes.push({ kind: 'swap', name, before: bytes.subarray(at, middle), after: bytes.subarray(middle, next) });
    at = next;
  }
  return at === end ? changes : null;
}

function isMark(value: unknown): value is HeaderMark {
  const { bytes, digest } = (value ?? {}) as Partial<HeaderMark>;
  const isLength = Number.isSafeInteger(bytes) && bytes! >= LENGTH_BYTES && bytes! <= LENGTH_BYTES + MAX_HEADER_BYTES;
  return isLength && typeof digest === 'string';
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | null {
  const value = parseJson(bytes);
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown;
  } catch {
    return null;
  }
}

/** Whether bytes could be what is left of overwriting `before` with `after`: each of them is one's or the other's. */
export function isBetween(found: Uint8Array, { before, after }: HeaderSwap): boolean {
  if (found.length !== before.length) return false;
  for (let i = 0; i < found.length; i++) if (found[i] !== before[i] && found[i] !== after[i]) return false;
  return true;
}
