import { createHash, randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quotePath } from '../errors.js';
import { parseJsonData } from '../options.js';

/**
 * The first page of a journal: who is at work. A journal is made with it whole, and it never changes; so are the marks on the
 * shards of a model and the claims on a journal whose process is gone, which are pages and nothing else.
 */
export interface JournalPage {
  /** Random, 32 hexadecimal digits: what this journal is known by. The names of its temporary files follow from it. */
  token: string;
  owner: JournalOwner;
  /** Of a mark on a shard: the rewrap of the whole model that the shard is part of. */
  whole: WholeModel | null;
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

/** A sharded model that is rewrapped as a whole. */
export interface WholeModel {
  /** Of its journal. */
  token: string;
  /** The name of its index, without a folder. */
  index: string;
  /** Where the index was, for people and to be compared: nothing is ever opened by it. */
  folder: string;
}

/** Room for a path of the longest kind, and for what JSON makes of it. */
export const PAGE_BYTES = 16_384;
const MARK = 'cryptotensors rewrap journal 2';
const JOURNAL_SUFFIX = '.rewrap-journal';
/** What common file systems allow, in bytes of UTF-8 or in UTF-16 units: a name that has no more bytes has no more units. */
const MAX_NAME_BYTES = 255;

/** Where the journal of a file, or of a shard index, lies. For a file `path` is the real one, behind symbolic links. */
export function journalOf(path: string): string {
  const name = basename(path);
  const own = `${name}${JOURNAL_SUFFIX}`;
  const fits = Buffer.byteLength(own) <= MAX_NAME_BYTES;
  return join(dirname(path), fits ? own : `.ct-${shortDigest(name, 32)}${JOURNAL_SUFFIX}`);
}

/** Where the file lies that is to replace `path` in the rewrap with this token. */
export function temporaryOf(path: string, token: string): string {
  return join(dirname(path), `.ct-${shortDigest(`${token} ${basename(path)}`, 32)}.rewrap`);
}

/** What the names of all pages begin with that have to do with a journal, beside the journal itself. */
export function helperPrefix(journal: string): string {
  return `.ct-${shortDigest(basename(journal), 16)}-`;
}

/** A name for a page before it is linked to where it belongs. */
export function newPagePath(journal: string): string {
  return join(dirname(journal), `${helperPrefix(journal)}${randomBytes(12).toString('hex')}.page`);
}

/** The one name under which a journal (or a claim) of this token can be taken over when its process is gone. */
export function claimOf(journal: string, token: string): string {
  return join(dirname(journal), `${helperPrefix(journal)}${shortDigest(token, 24)}.claim`);
}

export function newToken(): string {
  return randomBytes(16).toString('hex');
}

function shortDigest(text: string, digits: number): string {
  return createHash('sha256').update(text).digest('hex').slice(0, digits);
}

/** @throws {CryptoTensorsError} `FileError` if a path does not fit */
export function encodePage({ token, owner, whole }: JournalPage): Uint8Array {
  const page = Buffer.alloc(PAGE_BYTES, ' ');
  const text = Buffer.from(JSON.stringify({ mark: MARK, token, ...owner, ...(whole === null ? {} : { whole }) }));
  if (text.length >= PAGE_BYTES) {
    const path = whole?.folder ?? owner.host;
    throw new CryptoTensorsError(
      'FileError',
      `the path ${quotePath(path)} is too long to be written down in a journal`,
      {
        path,
        systemCode: 'ENAMETOOLONG',
      },
    );
  }
  text.copy(page);
  page[PAGE_BYTES - 1] = 0x0a;
  return page;
}

/** Null if the bytes are no page. */
export function decodePage(bytes: Uint8Array): JournalPage | null {
  if (bytes.length < PAGE_BYTES) return null;
  const page = parseObject(bytes.subarray(0, PAGE_BYTES));
  if (page?.['mark'] !== MARK || !isToken(page['token'])) return null;
  const owner = decodeOwner(page);
  const whole = page['whole'] === undefined ? null : decodeWhole(page['whole']);
  return owner === null || whole === undefined ? null : { token: page['token'], owner, whole };
}

/** What a file that is no page is known by. */
export function tokenOfOther(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes.subarray(0, PAGE_BYTES)).digest('hex').slice(0, 32);
}

function decodeOwner({ pid, host, boot, namespace, started }: Record<string, unknown>): JournalOwner | null {
  if (!Number.isSafeInteger(pid) || typeof host !== 'string') return null;
  const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
  return { pid: pid as number, host, boot: text(boot), namespace: text(namespace), started: text(started) };
}

function decodeWhole(value: unknown): WholeModel | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { token, index, folder } = value as Record<string, unknown>;
  if (!isToken(token) || typeof index !== 'string' || typeof folder !== 'string') return undefined;
  return { token, index, folder };
}

function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}

function parseObject(bytes: Uint8Array): Record<string, unknown> | null {
  const value = parseJson(bytes);
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
}

/** Null for what is no JSON. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return parseJsonData(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    return null;
  }
}
