/**
 * Small JSON documents as values: `__crypto_keys__`, `__policy__`, JWKs, shard indexes.
 *
 * As strict as the scanner, and duplicate keys are refused everywhere. Objects are Maps in the order of the text, so that
 * `__proto__` and `0` are keys like any other.
 */
import { Byte, JsonScanner, MAX_DEPTH, type JsonSubject } from './json.js';

/** A number that is not an unsigned integer of 64 bits: negative, a fraction, an exponent, or too large. */
export class JsonNumber {
  constructor(readonly text: string) {}
}

/** Where in the bytes the contents of a string literal stand, without its quotes. For secrets. */
export class JsonRange {
  constructor(
    readonly start: number,
    readonly end: number,
    /** Whether there are escapes to resolve: see `rawBytes`. */
    readonly escaped: boolean,
  ) {}
}

export type JsonObject = Map<string, JsonValue>;
/** Integers are a number where it is safe, else a bigint. */
export type JsonValue = null | boolean | number | bigint | string | JsonNumber | JsonRange | JsonValue[] | JsonObject;

export interface JsonDocumentOptions extends JsonSubject {
  /** Names of members whose strings come back as a `JsonRange` and never become a JavaScript string. ASCII only. */
  rawStrings?: ReadonlySet<string>;
}

const NO_NAMES: ReadonlySet<string> = new Set();

/**
 * Parses one JSON document.
 *
 * @throws {CryptoTensorsError} `options.code` where it is not strict JSON.
 */
export function parseJsonDocument(source: Uint8Array | string, options: JsonDocumentOptions): JsonValue {
  const bytes = typeof source === 'string' ? new TextEncoder().encode(source) : source;
  const isAscii = typeof source === 'string' && source.length === bytes.length;
  const scanner = new JsonScanner(bytes, isAscii ? source : null, options);
  const value = scanJsonValue(scanner, 1, options.rawStrings);
  scanner.finish();
  return value;
}

/**
 * As `parseJsonDocument`, for a document that must be an object.
 *
 * @throws {CryptoTensorsError} `options.code` where it is not, or not strict JSON.
 */
export function parseJsonObject(source: Uint8Array | string, options: JsonDocumentOptions): JsonObject {
  const value = parseJsonDocument(source, options);
  if (value instanceof Map) return value;
  throw new CryptoTensorsError(options.code, `${options.name} must be a JSON object, but is ${describeJson(value)}.`, {
    expected: 'an object',
    found: describeJson(value),
  });
}

/** Scans any value at the cursor. `depth` counts the arrays and objects around it, itself included. */
export function scanJsonValue(scanner: JsonScanner, depth: number, rawStrings = NO_NAMES, isRaw = false): JsonValue {
  const c = scanner.peek();
  switch (c) {
    case Byte.quote:
      scanner.string();
      return isRaw ? rawRange(scanner) : scanner.value();
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

/** The bytes of a raw string, its escapes resolved: a view of `bytes` where there are none, else a copy to be wiped. */
export function rawBytes(bytes: Uint8Array, range: JsonRange): Uint8Array {
  const literal = bytes.subarray(range.start, range.end);
  return range.escaped ? unescapeAscii(literal) : literal;
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
  if (depth > MAX_DEPTH) scanner.fail(`no more than ${MAX_DEPTH} nested values`);
  const object: JsonObject = new Map();
  scanner.open(Byte.openBrace);
  if (scanner.isEmpty(Byte.closeBrace)) return object;
  do {
    scanner.key();
    const { start } = scanner;
    const key = scanner.value();
    if (object.has(key)) scanner.fail('no key twice', start);
    object.set(key, scanJsonValue(scanner, depth + 1, rawStrings, rawStrings.has(key)));
  } while (scanner.hasMore(Byte.closeBrace));
  return object;
}

function scanArray(scanner: JsonScanner, depth: number, rawStrings: ReadonlySet<string>): JsonValue[] {
  if (depth > MAX_DEPTH) scanner.fail(`no more than ${MAX_DEPTH} nested values`);
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
  const { bytes, position: start } = scanner;
  let end = start;
  while (NUMBER_BYTES.has(bytes[end])) end++;
  const text = scanner.slice(start, end);
  if (!NUMBER.test(text)) scanner.fail('a JSON number');
  if (UINT.test(text)) return scanner.uint();
  scanner.position = end;
  return new JsonNumber(text);
}

/** The range of the last string. Raw strings are keys in base64: what is not ASCII is refused, and then need not be decoded. */
function rawRange(scanner: JsonScanner): JsonRange {
  const { start, end, escaped } = scanner;
  for (let p = start; p < end; p++) if (scanner.bytes[p]! > 0x7e) scanner.fail('ASCII', p);
  return new JsonRange(start, end, escaped);
}

/** Resolves escapes byte by byte, so that no string is made of a secret. The scanner has checked them. */
function unescapeAscii(literal: Uint8Array): Uint8Array {
  const out = new Uint8Array(literal.length);
  let length = 0;
  for (let p = 0; p < literal.length; p++) {
    let c = literal[p]!;
    if (c === Byte.backslash) {
      c = literal[++p]!;
      if (c === LETTER_U) {
        c = hexValue(literal[p + 3]!) * 16 + hexValue(literal[p + 4]!);
        p += 4;
      }
    }
    out[length++] = c;
  }
  return out.subarray(0, length);
}

function hexValue(digit: number): number {
  return digit <= Byte.nine ? digit - Byte.zero : (digit | 0x20) - 0x57;
}
