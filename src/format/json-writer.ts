/**
 * Writes compact JSON as UTF-8 bytes, without a string for the whole: headers and records have up to 100 MB.
 *
 * Strings are escaped as the canonical form wants it (FORMAT.md §2), which for well-formed Unicode is what
 * `JSON.stringify` does.
 */
import { base64Length, writeBase64 } from './base64.js';

const encoder = new TextEncoder();
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ZERO = 0x30;
/** Strings up to this length are looked at character by character; longer ones are left to the native functions. */
const SHORT = 256;

export class JsonWriter {
  private buffer: Uint8Array<ArrayBuffer>;
  private length = 0;

  /** @param expected about how many bytes will be written. */
  constructor(expected = 0) {
    this.buffer = new Uint8Array(Math.max(expected, 256));
  }

  /** What was written so far: a view, valid until the next write. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.buffer.subarray(0, this.length);
  }

  /** Writes ASCII text as it is: punctuation, literals, names of fields. */
  raw(text: string): void {
    this.reserve(text.length);
    for (let i = 0; i < text.length; i++) this.buffer[this.length++] = text.charCodeAt(i);
  }

  /** Writes a string literal. */
  string(text: string): void {
    if (text.length > SHORT || !this.plainString(text)) this.utf8(JSON.stringify(text));
  }

  /** Writes an unsigned integer in decimal digits. */
  uint(value: number | bigint): void {
    if (typeof value === 'bigint') {
      this.raw(value.toString());
      return;
    }
    let width = 1;
    for (let limit = 10; limit <= value; limit *= 10) width++;
    this.reserve(width);
    let rest = value;
    for (let p = this.length + width - 1; p >= this.length; p--) {
      const quotient = Math.floor(rest / 10);
      this.buffer[p] = ZERO + (rest - quotient * 10);
      rest = quotient;
    }
    this.length += width;
  }

  /** Writes a string literal that holds `bytes[start, end)` in base64. */
  base64(bytes: Uint8Array, start: number, end: number): void {
    this.reserve(base64Length(end - start) + 2);
    this.buffer[this.length++] = QUOTE;
    this.length = writeBase64(bytes, start, end, this.buffer, this.length);
    this.buffer[this.length++] = QUOTE;
  }

  /** Writes a literal without escapes, or nothing (false) where `text` needs more than copying. */
  private plainString(text: string): boolean {
    this.reserve(text.length + 2);
    const { buffer } = this;
    let p = this.length;
    buffer[p++] = QUOTE;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      if (unit < 0x20 || unit > 0x7f || unit === QUOTE || unit === BACKSLASH) return false;
      buffer[p++] = unit;
    }
    buffer[p++] = QUOTE;
    this.length = p;
    return true;
  }

  private utf8(text: string): void {
    const bytes = encoder.encode(text);
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  private reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.buffer.length * 2));
    grown.set(this.bytes());
    this.buffer = grown;
  }
}
