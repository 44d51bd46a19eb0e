/**
 * A strict scanner of JSON (RFC 8259) over UTF-8 bytes, with one cursor and no object per value.
 *
 * The header of a large model is tens of megabytes of JSON that is read once, before the JIT compiler is warm, and that
 * JSON.parse would get wrong: of two equal keys it keeps the last, it moves integer-like keys to the front and rounds
 * integers above 2^53 (FORMAT.md §1). So the format's own parsers walk the text with the steps below. What RFC 8259 does
 * not allow, and what is not well-formed Unicode, is refused; refusing duplicate keys is the duty of each parser, which
 * knows what its keys are.
 */
import { CryptoTensorsError, type ErrorCode, type ErrorDetails } from '../errors.js';
import { escapeLength, isCanonicalEscape, readEscape, unescapeUtf8 } from './json-escape.js';
import type { JsonKey } from './json-key.js';
import type { Escapes, JsonText } from './json-text.js';

/** How faults of a text are reported. */
export interface JsonSubject {
  /** Code of the errors. */
  code: ErrorCode;
  /** What the text is, for messages: `the header`, `__policy__`. */
  name: string;
  /** The text holds secrets: messages show none of its characters. */
  secret?: boolean;
}

/** Deepest nesting of arrays and objects, as in serde_json. */
export const MAX_DEPTH = 127;
/** Largest integer of the format. */
export const MAX_UINT64 = 2n ** 64n - 1n;
const MAX_UINT64_DIGITS = 20;

/** Bytes that the parsers name. */
export const Byte = {
  space: 0x20,
  quote: 0x22,
  comma: 0x2c,
  minus: 0x2d,
  dot: 0x2e,
  zero: 0x30,
  nine: 0x39,
  colon: 0x3a,
  openBracket: 0x5b,
  backslash: 0x5c,
  closeBracket: 0x5d,
  openBrace: 0x7b,
  closeBrace: 0x7d,
} as const;
const { space: SPACE, quote: QUOTE, comma: COMMA, zero: ZERO, nine: NINE, colon: COLON, backslash: BACKSLASH } = Byte;
const [TAB, LINE_FEED, CARRIAGE_RETURN] = [0x09, 0x0a, 0x0d] as const;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes UTF-8 strictly: no replacement characters, a byte order mark is kept. Throws a `TypeError`. */
export function decodeUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Longest text that is put together character by character: for a short one a call of the decoder takes longer. */
const MAX_SHORT = 64;

/** The text, or null if it is not short or not ASCII. */
function shortAscii(bytes: Uint8Array): string | null {
  if (bytes.length > MAX_SHORT) return null;
  for (const byte of bytes) if (byte >= 0x80) return null;
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

function isWhiteSpace(c: number): boolean {
  return c === SPACE || c === LINE_FEED || c === CARRIAGE_RETURN || c === TAB;
}

export class JsonScanner {
  readonly bytes: Uint8Array;
  /** The cursor. */
  position: number;
  /** Contents of the last string literal, without its quotes: `[start, end)` in `bytes`. */
  start = 0;
  end = 0;
  escapes: Escapes = 'none';
  /** Cleared by white space and by escapes that the canonical form does not write (FORMAT.md §2). */
  canonical = true;
  /** Cleared by a string with other characters. Their UTF-8 is checked where a string is decoded, and only there. */
  ascii = true;
  /** First byte of what stands for a quote: the quote itself, or the backslash before it. */
  readonly quote: number;

  private readonly text: JsonText;
  private readonly quoteLength: number;

  constructor(
    text: JsonText,
    readonly subject: JsonSubject,
  ) {
    this.text = text;
    this.bytes = text.bytes;
    this.position = text.start;
    this.quote = text.isNested ? BACKSLASH : QUOTE;
    this.quoteLength = text.isNested ? 2 : 1;
  }

  /** Skips white space and returns the byte at the cursor, or -1 at the end. */
  peek(): number {
    const { bytes } = this;
    const limit = this.text.end;
    let p = this.position;
    while (p < limit) {
      const c = bytes[p]!;
      if (c > SPACE || !isWhiteSpace(c)) {
        this.position = p;
        return c;
      }
      this.canonical = false;
      p++;
    }
    this.position = p;
    return -1;
  }

  /** Steps over the byte that opens an array or an object. */
  open(byte: number): void {
    if (this.peek() !== byte) this.fail(`'${String.fromCharCode(byte)}'`);
    this.position++;
  }

  /** After `open`: steps over the closing byte if it comes at once, and says whether it did. */
  isEmpty(close: number): boolean {
    if (this.peek() !== close) return false;
    this.position++;
    return true;
  }

  /** After an item: steps over a comma (true: another item must follow) or over the closing byte (false). */
  hasMore(close: number): boolean {
    const c = this.peek();
    if (c !== COMMA && c !== close) this.fail(`',' or '${String.fromCharCode(close)}'`);
    this.position++;
    return c === COMMA;
  }

  /** Scans a key and its colon. The key is then the last string. */
  key(): void {
    this.string();
    if (this.peek() !== COLON) this.fail("':'");
    this.position++;
  }

  /** Steps over `key` and its colon if they stand at the cursor as writers write them. A shortcut for `key` and `isKey`. */
  skipKey(key: JsonKey): boolean {
    return this.skip(this.quoteLength === 1 ? key.compact : key.nested);
  }

  /** Steps over `text` if just that stands at the cursor. */
  skip(text: Uint8Array): boolean {
    const { bytes, position } = this;
    for (let i = 0; i < text.length; i++) if (bytes[position + i] !== text[i]) return false;
    this.position = position + text.length;
    return true;
  }

  /** Scans a string literal and leaves `start`, `end` and `escapes` for it. */
  string(): void {
    const { bytes, quote } = this;
    if (this.peek() !== quote) this.fail('a string');
    let p = this.position + this.quoteLength;
    let allBits = 0;
    this.start = p;
    this.escapes = 'none';
    for (;;) {
      let c = bytes[p]!;
      // False at the end too: there the byte is undefined, or the quote of the string that this text is nested in.
      while (c >= SPACE && c !== QUOTE && c !== BACKSLASH) {
        allBits |= c;
        c = bytes[++p]!;
      }
      if (c === quote) break;
      if (c !== BACKSLASH) this.fail(c < SPACE ? 'a control character as an escape' : 'the end of a string', p);
      p += this.escape(p + 1);
    }
    if (allBits >= 0x80) this.ascii = false;
    this.end = p;
    this.position = p + this.quoteLength;
  }

  /**
   * Scans the string literal of a member that, if it is valid, has `length` characters without escapes. Where a quote and then
   * the end of the member stand behind as many, the contents are not looked at: whoever decodes them must refuse all that a
   * string could not hold as it is.
   */
  stringOfLength(length: number): void {
    const { bytes, quote, quoteLength, position } = this;
    const start = position + quoteLength;
    const end = start + length;
    const after = bytes[end + quoteLength];
    if (bytes[position] !== quote || bytes[end] !== quote || (after !== COMMA && after !== Byte.closeBrace)) {
      this.string();
      return;
    }
    this.start = start;
    this.end = end;
    this.escapes = 'none';
    this.position = end + quoteLength;
  }

  /** Whether the last string is `key`. */
  isKey({ name, utf8 }: JsonKey): boolean {
    if (this.escapes !== 'none') return this.value() === name;
    const { bytes, start } = this;
    if (this.end - start !== utf8.length) return false;
    for (let i = 0; i < utf8.length; i++) if (bytes[start + i] !== utf8[i]) return false;
    return true;
  }

  /** The value of the last string. */
  value(): string {
    return this.decode(this.valueBytes(), this.start);
  }

  /** The value of the last string as UTF-8. A copy only where there are escapes. */
  valueBytes(): Uint8Array {
    const literal = this.bytes.subarray(this.start, this.end);
    return this.escapes === 'none' ? literal : unescapeUtf8(literal);
  }

  /** Scans an unsigned integer of 64 bits: a number if it is a safe integer, else a bigint. */
  uint(): number | bigint {
    const first = this.peek();
    if (first < ZERO || first > NINE) this.fail('an unsigned integer');
    const { bytes } = this;
    const start = this.position;
    let p = start;
    let value = 0;
    for (let c = first; c >= ZERO && c <= NINE; c = bytes[++p] ?? -1) value = value * 10 + (c - ZERO);
    if (first === ZERO && p - start > 1) this.fail('no leading zero', start);
    const after = bytes[p] ?? -1;
    if (after === Byte.dot || (after | SPACE) === 0x65) this.fail('the end of an unsigned integer', p);
    this.position = p;
    if (value <= Number.MAX_SAFE_INTEGER) return value;
    const isTooLong = p - start > MAX_UINT64_DIGITS;
    const exact = isTooLong ? null : BigInt(this.decode(bytes.subarray(start, p), start));
    return exact !== null && exact <= MAX_UINT64 ? exact : this.fail('an integer below 2^64', start);
  }

  /** Refuses anything but white space from here to the end. */
  finish(): void {
    if (this.peek() !== -1) this.fail('nothing after the value');
  }

  /** Throws: `expected` does not stand at `position`. */
  fail(expected: string, position = this.position): never {
    const found = this.describe(position);
    throw this.error(
      `is not well-formed: expected ${expected} at byte ${position - this.text.start}, found ${found}; it is damaged, or was not written as the format requires`,
      { expected, found, position },
    );
  }

  /** Throws: what stands at `position` is JSON, but not allowed. */
  refuse(problem: string, position = this.position): never {
    throw this.error(`${problem}, at byte ${position - this.text.start}`, { position });
  }

  private error(problem: string, details: ErrorDetails & { position: number }): CryptoTensorsError {
    const { code, name } = this.subject;
    return new CryptoTensorsError(code, `${name} ${problem}`, {
      ...details,
      position: details.position - this.text.start,
    });
  }

  private describe(position: number): string {
    if (position >= this.text.end) return 'the end';
    const c = this.bytes[position]!;
    if (this.subject.secret === true) return 'something else';
    return c > SPACE && c < 0x7f ? `'${String.fromCharCode(c)}'` : `byte 0x${c.toString(16).padStart(2, '0')}`;
  }

  private decode(bytes: Uint8Array, position: number): string {
    const short = shortAscii(bytes);
    if (short !== null) return short;
    try {
      return decoder.decode(bytes);
    } catch {
      return this.fail('UTF-8', position);
    }
  }

  /** Checks the escape whose letter is at `p` and returns its length with the backslash. */
  private escape(p: number): number {
    if (this.bytes[p] === QUOTE) {
      if (this.escapes === 'none') this.escapes = 'quotes';
      return 2;
    }
    const codePoint = readEscape(this.bytes, p);
    if (codePoint < 0) this.fail('an escape that JSON has, and no lone surrogate', p);
    if (!isCanonicalEscape(this.bytes, p, codePoint)) this.canonical = false;
    this.escapes = 'any';
    return 1 + escapeLength(this.bytes, p, codePoint);
  }
}
