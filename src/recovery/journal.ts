import { createHash } from 'node:crypto';
import { CryptoTensorsError } from '../errors.js';
import { LENGTH_BYTES, MAX_HEADER_BYTES } from '../format/canonical.js';
import type { RegularFile } from '../files/regular-file.js';
import { isPlainName } from '../model/shards.js';
import { breathe } from '../twin.js';
import type { Twin } from '../twin.js';
import { PAGE_BYTES, decodePage, parseJson, tokenOfOther } from './page.js';
import type { JournalPage } from './page.js';

/**
 * The journal of a rewrap: what a file's header was and what it is to be, written beside the file before the header is
 * overwritten where it stands. With it a header that was overwritten in part is still the old one or the new one.
 *
 * A journal is as trustworthy as the folder that it lies in, no more: what is taken from one is verified like any other header.
 * So whoever plants a journal gains nothing that replacing the header would not give. Of a journal no more is read than its
 * description, and headers that are as long as those of the files that it speaks of.
 *
 * On disk: the page (`page.ts`); the length of a description, 8 bytes; the description, JSON; SHA-256 of all that; then, for each
 * header that is swapped where it stands, the old bytes and the new ones, whose lengths and digests are in the description. A
 * journal that is not whole says only that nothing had been touched yet.
 */
export type Change = HeaderSwap | Replacement;

/** A header that is overwritten where it stands. */
export interface HeaderSwap {
  kind: 'swap';
  /** The file, as the shard index names it, or the last part of its path. */
  name: string;
  /** Both from the first byte of the file to the data section, and so of one length. */
  before: Uint8Array;
  after: Uint8Array;
}

/** A file that another one replaces, which lies ready under `temporaryOf(path, token)`. */
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

/** A change as the description has it: where the headers of a swap lie in the journal. */
export type Entry = Replacement | (Omit<Replacement, 'kind'> & { kind: 'swap'; offset: number });

const DIGEST_BYTES = 32;
/** An entry takes a few hundred bytes, so that this is enough for ten thousand shards. */
const MAX_DESCRIPTION_BYTES = 4 * 1024 * 1024;
/** What is hashed or compared before the event loop gets its turn. */
const PIECE_BYTES = 1024 * 1024;

/** All of a journal behind its page. @throws {CryptoTensorsError} `InvalidIndex` if there are too many shards */
export function* encodeChanges(page: Uint8Array, changes: readonly Change[]): Twin<Uint8Array> {
  const entries: object[] = [];
  const headers: Uint8Array[] = [];
  for (const change of changes) {
    if (change.kind === 'replace') {
      entries.push(change);
      continue;
    }
    const { kind, name, before, after } = change;
    entries.push({ kind, name, before: yield* markOf(before), after: yield* markOf(after) });
    headers.push(before, after);
  }
  const description = Buffer.from(JSON.stringify(entries));
  if (description.length > MAX_DESCRIPTION_BYTES) {
    throw new CryptoTensorsError('InvalidIndex', `a model of ${changes.length} shards is too many for one rewrap`);
  }
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(description.length));
  const digest = createHash('sha256').update(page).update(length).update(description).digest();
  return Buffer.concat([length, description, digest, ...headers]);
}

/** The page of a journal; null in place of one that is none. */
export function* readPage(file: RegularFile): Twin<{ bytes: Uint8Array; page: JournalPage | null; token: string }> {
  const bytes = yield* file.read(0, PAGE_BYTES);
  const page = decodePage(bytes);
  return { bytes, page, token: page?.token ?? tokenOfOther(bytes) };
}

/** What a journal says is to be done; null if it was not written wholly. The headers themselves are not looked at. */
export function* readEntries(file: RegularFile, page: Uint8Array): Twin<readonly Entry[] | null> {
  if (page.length !== PAGE_BYTES) return null;
  const prefix = yield* file.read(PAGE_BYTES, LENGTH_BYTES);
  if (prefix.length !== LENGTH_BYTES) return null;
  const length = Buffer.from(prefix).readBigUInt64LE();
  if (length > MAX_DESCRIPTION_BYTES) return null;
  const start = PAGE_BYTES + LENGTH_BYTES;
  const rest = yield* file.read(start, Number(length) + DIGEST_BYTES);
  if (rest.length !== Number(length) + DIGEST_BYTES) return null;
  const description = rest.subarray(0, Number(length));
  const digest = createHash('sha256').update(page).update(prefix).update(description).digest();
  if (!digest.equals(rest.subarray(Number(length)))) return null;
  return decodeEntries(parseJson(description), start + rest.length, file.size);
}

function decodeEntries(list: unknown, start: number, size: number): Entry[] | null {
  if (!Array.isArray(list)) return null;
  const entries = new Map<string, Entry>();
  let offset = start;
  for (const item of list as unknown[]) {
    const { kind, name, before, after } = (item ?? {}) as Record<string, unknown>;
    if (typeof name !== 'string' || !isPlainName(name) || entries.has(name)) return null;
    if (!isMark(before) || !isMark(after)) return null;
    if (kind === 'swap') {
      if (before.bytes !== after.bytes) return null;
      entries.set(name, { kind, name, before, after, offset });
      offset += before.bytes + after.bytes;
    } else if (kind === 'replace') {
      entries.set(name, { kind, name, before, after });
    } else {
      return null;
    }
  }
  return offset === size ? [...entries.values()] : null;
}

function isMark(value: unknown): value is HeaderMark {
  const { bytes, digest } = (value ?? {}) as Partial<HeaderMark>;
  const isLength = Number.isSafeInteger(bytes) && bytes! >= LENGTH_BYTES && bytes! <= LENGTH_BYTES + MAX_HEADER_BYTES;
  return isLength && typeof digest === 'string';
}

/** The change of an entry, with the headers of a swap; null if they are not what the description says. */
export function* readChange(file: RegularFile, entry: Entry): Twin<Change | null> {
  if (entry.kind === 'replace') return entry;
  const { name, offset, before, after } = entry;
  const [old, next] = [yield* file.read(offset, before.bytes), yield* file.read(offset + before.bytes, after.bytes)];
  for (const [bytes, mark] of [
    [old, before],
    [next, after],
  ] as const) {
    if (!isHeader(bytes) || (yield* markOf(bytes)).digest !== mark.digest) return null;
  }
  return { kind: 'swap', name, before: old, after: next };
}

/** Whether bytes are a header with its length, as far as that length says. */
function isHeader(bytes: Uint8Array): boolean {
  return bytes.length >= LENGTH_BYTES && headerBytesOf(bytes) === bytes.length;
}

/** How long a file's header is with its 8 bytes of length, by these; `Infinity` for what no header is. */
export function headerBytesOf(start: Uint8Array): number {
  if (start.length < LENGTH_BYTES) return Infinity;
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  return length > MAX_HEADER_BYTES ? Infinity : LENGTH_BYTES + Number(length);
}

export function* markOf(header: Uint8Array): Twin<HeaderMark> {
  const digest = createHash('sha256');
  for (let at = 0; at < header.length; at += PIECE_BYTES) {
    if (at > 0) yield* breathe();
    digest.update(header.subarray(at, at + PIECE_BYTES));
  }
  return { bytes: header.length, digest: digest.digest('hex') };
}

/** Whether bytes could be what is left of overwriting `before` with `after`: each of them is one's or the other's. */
export function* isBetween(found: Uint8Array, { before, after }: HeaderSwap): Twin<boolean> {
  if (found.length !== before.length) return false;
  for (let at = 0; at < found.length; at += PIECE_BYTES) {
    if (at > 0) yield* breathe();
    const end = Math.min(at + PIECE_BYTES, found.length);
    if (Buffer.compare(found.subarray(at, end), after.subarray(at, end)) === 0) continue;
    for (let i = at; i < end; i++) if (found[i] !== before[i] && found[i] !== after[i]) return false;
  }
  return true;
}
