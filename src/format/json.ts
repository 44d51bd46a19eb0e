/**
 * Small JSON documents as values: `__crypto_keys__`, `__policy__`, JWKs, shard indexes.
 *
 * As strict as the scanner, and duplicate keys are refused everywhere. Objects are Maps in the order of the text, so that
 * `__proto__` and `0` are keys like any other.
 */
import { CryptoTensorsError } from '../errors.js';
import { Byte, JsonScanner, MAX_DEPTH, MAX_UINT64, decodeUtf8, type JsonSubject } from './json-scanner.js';
import { wholeText } from './json-text.js';
import { toUint } from './tensor-size.js';
import { withoutPrototype } from '../options.js';

/** A number that is not an unsigned integer of 64 bits: negative, a fraction, an exponent, or too large. */
export class JsonNumber {
  constructor(readonly text: string) {}
}

/** Where in the bytes the contents of a string literal stand, without its quotes. For secrets. */
export class JsonRange {
  constructor(
    readonly start: number,
    readonly end: number,
  ) {}
}

export type JsonObject = Map<string, JsonValue>;
/** Integers are a number where it is safe, else a bigint. */
export type JsonValue = null | boolean | number | bigint | string | JsonNumber | JsonRange | JsonValue[] | JsonObject;

export interface JsonDocumentOptions extends Partial<Omit<JsonSubject, 'secret'>> {
  /**
   * Names of members, at any depth, whose strings come back as a `JsonRange` and never become a JavaScript string. They are
   * base64: printable ASCII without escapes. Messages then show no character of the text.
   */
  rawStrings?: Iterable<string>;
}

const NO_NAMES: ReadonlySet<string> = new Set();
const NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$/;
const NUMBER_CHARACTERS = new Uint8Array(256);
for (const c of '0123456789+-.eE') NUMBER_CHARACTERS[c.charCodeAt(0)] = 1;
const UINT = /^[0-9]{1,20}$/;

/**
 * Parses one JSON document.
 *
 * @throws {CryptoTensorsError} `options.code` (default `InvalidCryptoMetadata`) where it is not strict JSON
 */
export function parseJsonDocument(source: Uint8Array | string, options: JsonDocumentOptions = {}): JsonValue {
  const { code = 'InvalidCryptoMetadata', name = 'the JSON document', rawStrings: raw } = withoutPrototype(options);
  const rawStrings = new Set(raw);
  const scanner = new JsonScanner(wholeText(source), { code, name, secret: rawStrings.size > 0 });
  const value = scanJsonValue(scanner, 1, rawStrings);
  scanner.finish();
  return value;
}

/**
 * As `parseJsonDocument`, for a document that must be an object.
 *
 * @throws {CryptoTensorsError} `options.code` where it is not, or not strict JSON.
 */
export function parseJsonObject(source: string, options: JsonSubject): JsonObject {
  const value = parseJsonDocument(source, options);
  if (value instanceof Map) return value;
  const found = describeJson(value);
  throw new CryptoTensorsError(options.code, `${options.name} must be a JSON object, but is ${found}`, {
    expected: 'an object',
    found,
  });
}

/** Scans any value at the cursor. `depth` counts the arrays and objects around it, itself included. */
export function scanJsonValue(scanner: JsonScanner, depth: number, rawStrings = NO_NAMES, isRaw = false): JsonValue {
  const c = scanner.peek();
  if (c === scanner.quote) {
    scanner.string();
    return isRaw ? rawRange(scanner) : scanner.value();
  }
  switch (c) {
    case Byte.openBrace:
      return scanObject(scanner, depth, rawStrings);
    case Byte.openBracket:
      return scanArray(scanner, depth, rawStrings);
    case 0x74: // t
      return scanLiteral(scanner, 'true', true);
    case 0x66: // f
      return scanLiteral(scanner, 'false', false);
    case 0x6e: // n
      return scanLiteral(scanner, 'null', null);
    default:
      if (c === Byte.minus || (c >= Byte.zero && c <= Byte.nine)) return scanNumber(scanner);
      return scanner.fail('a JSON value');
  }
}

/** What a value is, for messages, without showing it. */
export function describeJson(value: JsonValue | undefined): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Map) return 'an object';
  if (typeof value === 'string' || value instanceof JsonRange) return 'a string';
  if (typeof value === 'boolean') return String(value);
  return 'a number';
}

function scanObject(scanner: JsonScanner, depth: number, rawStrings: ReadonlySet<string>): JsonObject {
  if (depth > MAX_DEPTH) scanner.refuse(`is nested more than ${MAX_DEPTH} deep`);
  const object: JsonObject = new Map();
  scanner.open(Byte.openBrace);
  if (scanner.isEmpty(Byte.closeBrace)) return object;
  do {
    scanner.key();
    const { start } = scanner;
    const key = scanner.value();
    const { size } = object;
    const value = scanJsonValue(scanner, depth + 1, rawStrings, rawStrings.has(key));
    if (object.set(key, value).size === size) scanner.refuse('holds a key twice', start);
  } while (scanner.hasMore(Byte.closeBrace));
  return object;
}

function scanArray(scanner: JsonScanner, depth: number, rawStrings: ReadonlySet<string>): JsonValue[] {
  if (depth > MAX_DEPTH) scanner.refuse(`is nested more than ${MAX_DEPTH} deep`);
  const array: JsonValue[] = [];
  scanner.open(Byte.openBracket);
  if (scanner.isEmpty(Byte.closeBracket)) return array;
  do {
    array.push(scanJsonValue(scanner, depth + 1, rawStrings));
  } while (scanner.hasMore(Byte.closeBracket));
  return array;
}

function scanLiteral<T>(scanner: JsonScanner, word: string, value: T): T {
  for (let i = 0; i < word.length; i++) {
    if (scanner.bytes[scanner.position + i] !== word.charCodeAt(i)) scanner.fail(word);
  }
  scanner.position += word.length;
  return value;
}

function scanNumber(scanner: JsonScanner): number | bigint | JsonNumber {
  const text = numberText(scanner);
  if (!NUMBER.test(text)) scanner.fail('a JSON number');
  scanner.position += text.length;
  if (!UINT.test(text)) return new JsonNumber(text);
  const exact = BigInt(text);
  return exact > MAX_UINT64 ? new JsonNumber(text) : toUint(exact);
}

/** The characters from the cursor on that can be part of a number. */
function numberText({ bytes, position }: JsonScanner): string {
  let end = position;
  while (NUMBER_CHARACTERS[bytes[end] ?? 0] === 1) end++;
  return decodeUtf8(bytes.subarray(position, end));
}

/** The range of the last string, which must be raw. */
function rawRange(scanner: JsonScanner): JsonRange {
  const { bytes, start, end } = scanner;
  for (let p = start; p < end; p++) {
    if (bytes[p]! > 0x7e || bytes[p] === Byte.backslash) scanner.fail('printable ASCII without escapes', p);
  }
  return new JsonRange(start, end);
}
