/** `__model__`: which files are one model (docs/format.md). Signed as the rest of the header of each of them. */
import { CryptoTensorsError, quote } from '../errors.js';
import { invalidMetadata } from './crypto-metadata.js';
import { foldedFileName, problemOfFileName } from './file-name.js';
import type { Header } from './header.js';
import { describeJson, parseJsonObject, type JsonObject, type JsonValue } from './json.js';
import { compareUtf8 } from './utf8-order.js';
import { Reserved } from './vocabulary.js';

const VERSION = '1';
/** As long as the names and digests of all files of the largest model that is allowed. */
const MAX_TEXT_BYTES = 8 * 1024 * 1024;
/** As many files of each kind as a model may have. */
export const MAX_MODEL_FILES = 10_000;
/** A UUID (RFC 9562) in lower case. */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const SHA256 = /^[0-9a-f]{64}$/;
/** What is added to the path of a file that is sealed, so that nobody takes it for a shard. */
export const SEALED_SUFFIX = '.sealed';

/** What all files of a model say alike. Names are relative paths with `/`, maps in the order of their UTF-8 bytes. */
export interface ModelManifest {
  /** Of the model, for its life: a UUID. */
  id: string;
  /** Of the headers that were made together, drawn anew each time: a UUID. An old header among new ones differs in it. */
  set: string;
  /** Counts how often the headers were made. */
  generation: number;
  /** Files of tensors, and the SHA-256 of the names of the tensors in each (`tensorNamesText`). */
  weights: ReadonlyMap<string, string>;
  /** Paths of files that are stored encrypted, as bytes, each under its path and `.sealed`. */
  sealed: readonly string[];
  /** Files that are stored as they are, and the SHA-256 of each. */
  plain: ReadonlyMap<string, string>;
}

/** `__model__` in the header of one file. */
export interface ModelIdentity extends ModelManifest {
  /** Which of the model's files this is: a name in `weights`, or a path in `sealed` with its suffix. */
  file: string;
}

const MEMBERS = ['version', 'id', 'set', 'generation', 'file', 'weights', 'sealed', 'plain'] as const;

/**
 * What a header says of the model that its file belongs to; null where it says nothing. Only the one canonical text of each identity
 * is taken, and no unknown member.
 *
 * @throws {CryptoTensorsError} `InvalidCryptoMetadata`
 */
export function parseModelIdentity({ metadata }: Pick<Header, 'metadata'>): ModelIdentity | null {
  const json = metadata?.getJson(Reserved.model);
  if (metadata === null || json === undefined) return null;
  if (json.end - json.start > MAX_TEXT_BYTES) throw invalid('it', `at most ${MAX_TEXT_BYTES} bytes`, 'longer');
  const text = metadata.get(Reserved.model)!;
  const document = parseJsonObject(text, { code: 'InvalidCryptoMetadata', name: Reserved.model });
  // Before all else: of another version nothing is known.
  const version = parseString(document, 'version');
  if (version !== VERSION) {
    throw new CryptoTensorsError(
      'UnsupportedVersion',
      `${Reserved.model} is of version ${quote(version)}, and this library reads "${VERSION}": a newer release may read it`,
      { expected: quote(VERSION), found: quote(version) },
    );
  }
  const unknown = [...document.keys()].find((name) => !MEMBERS.some((known) => known === name));
  if (unknown !== undefined) throw invalid('it', 'without unknown members', quote(unknown));
  const identity: ModelIdentity = {
    id: parsePattern(document, 'id', UUID, 'a UUID in lower case'),
    set: parsePattern(document, 'set', UUID, 'a UUID in lower case'),
    generation: parseGeneration(document.get('generation')),
    file: parseString(document, 'file'),
    weights: parseDigests(document, 'weights'),
    sealed: parseNames(document, 'sealed'),
    plain: parseDigests(document, 'plain'),
  };
  checkModelIdentity(identity);
  if (encodeModelIdentity(identity) !== text) {
    throw invalid('it', 'in canonical form: its members in order, names sorted, no white space', 'another text');
  }
  return identity;
}

/** The canonical text of `__model__`, names sorted by their UTF-8 bytes. */
export function encodeModelIdentity(identity: ModelIdentity): string {
  const { id, set, generation, file, sealed } = identity;
  const head = JSON.stringify({ version: VERSION, id, set, generation, file }).slice(0, -1);
  return `${head},"weights":${encodeDigests(identity.weights)},"sealed":${JSON.stringify([...sealed].sort(compareUtf8))},"plain":${encodeDigests(identity.plain)}}`;
}

/**
 * The bytes whose SHA-256 binds a file to the names of its tensors: the name of each in the order of the data, as a netstring: the
 * number of its UTF-8 bytes in decimal, `:`, the bytes, `,`.
 */
export function tensorNamesText(names: readonly string[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const parts = names.map((name) => encoder.encode(name));
  const text = new Uint8Array(parts.reduce((sum, { length }) => sum + String(length).length + length + 2, 0));
  let at = 0;
  for (const part of parts) {
    at += encoder.encodeInto(`${part.length}:`, text.subarray(at)).written;
    text.set(part, at);
    at += part.length;
    text[at++] = 0x2c;
  }
  return text;
}

/** Name of the file in which the file of this path is stored, encrypted. */
export function sealedName(path: string): string {
  return path + SEALED_SUFFIX;
}

/**
 * Whether this can be the identity of a file: every name one that all systems take, no two of them one file anywhere, and the file
 * itself among them.
 *
 * @throws {CryptoTensorsError} `InvalidCryptoMetadata`
 */
export function checkModelIdentity({ file, weights, sealed, plain }: ModelIdentity): void {
  const stored = [...weights.keys(), ...sealed.map(sealedName)];
  const seen = new Map<string, string>();
  for (const name of [...stored, ...sealed, ...plain.keys()]) {
    const problem = problemOfFileName(name);
    if (problem !== null) throw invalid(`the name ${quote(name)}`, 'a relative path that every system takes', problem);
    const folded = foldedFileName(name);
    const other = seen.get(folded);
    if (other !== undefined) {
      throw invalid(
        `the name ${quote(name)}`,
        'a file of its own on every system',
        `the same as ${quote(other)} where case or form is not told apart`,
      );
    }
    seen.set(folded, name);
  }
  for (const name of seen.values()) {
    for (let end = name.indexOf('/'); end >= 0; end = name.indexOf('/', end + 1)) {
      const folder = seen.get(foldedFileName(name.slice(0, end)));
      if (folder !== undefined)
        throw invalid(`the name ${quote(name)}`, 'a file of its own', `in ${quote(folder)}, which is a file`);
    }
  }
  for (const name of weights.keys()) {
    if (name.includes('/')) throw invalid(`the name ${quote(name)} in "weights"`, 'without a folder', 'in one');
  }
  if (!stored.includes(file)) throw invalid('"file"', 'one of the encrypted files that it lists', quote(file));
}

function encodeDigests(digests: ReadonlyMap<string, string>): string {
  const sorted = [...digests].sort(([a], [b]) => compareUtf8(a, b));
  return `{${sorted.map(([name, digest]) => `${JSON.stringify(name)}:"${digest}"`).join(',')}}`;
}

function parseString(document: JsonObject, name: string): string {
  const value = document.get(name);
  if (typeof value === 'string') return value;
  throw invalid(`"${name}"`, 'a string', describeJson(value));
}

function parsePattern(document: JsonObject, name: string, pattern: RegExp, expected: string): string {
  const text = parseString(document, name);
  if (pattern.test(text)) return text;
  throw invalid(`"${name}"`, expected, quote(text));
}

function parseGeneration(value: JsonValue | undefined): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value > 0) return value;
  throw invalid('"generation"', 'an integer from 1 to 2^53 - 1', describeJson(value));
}

function parseDigests(document: JsonObject, name: string): Map<string, string> {
  const value = document.get(name);
  if (!(value instanceof Map)) throw invalid(`"${name}"`, 'an object', describeJson(value));
  refuseTooMany(name, value.size);
  for (const [file, digest] of value) {
    if (typeof digest !== 'string' || !SHA256.test(digest)) {
      throw invalid(`${quote(file)} of "${name}"`, 'a SHA-256 in lower-case hexadecimal', describeJson(digest));
    }
  }
  return value as Map<string, string>;
}

function parseNames(document: JsonObject, name: string): string[] {
  const value = document.get(name);
  if (!Array.isArray(value)) throw invalid(`"${name}"`, 'an array', describeJson(value));
  refuseTooMany(name, value.length);
  for (const item of value)
    if (typeof item !== 'string') throw invalid(`"${name}"`, 'an array of strings', describeJson(item));
  return value as string[];
}

function refuseTooMany(name: string, count: number): void {
  if (count > MAX_MODEL_FILES) throw invalid(`"${name}"`, `at most ${MAX_MODEL_FILES} files`, String(count));
}

function invalid(where: string, expected: string, found: string): CryptoTensorsError {
  return invalidMetadata(where === 'it' ? Reserved.model : `${where} of ${Reserved.model}`, expected, found);
}
