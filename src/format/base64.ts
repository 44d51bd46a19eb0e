/**
 * Standard base64 (RFC 4648 §4), strictly: padding is required, nothing but the alphabet, trailing bits are zero. So
 * each sequence of bytes has exactly one text.
 *
 * For small values such as a signature; the native engine decodes the records of tensors by itself.
 */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PADDING = 0x3d;

/** ASCII code of each of the 64 digits. */
const BASE64_DIGITS = Uint8Array.from(ALPHABET, (digit) => digit.charCodeAt(0));

const INVALID = 0xff;
const VALUES = new Uint8Array(256).fill(INVALID);
BASE64_DIGITS.forEach((code, value) => (VALUES[code] = value));

/** Length of the text of `byteLength` bytes. */
export function base64Length(byteLength: number): number {
  return Math.ceil(byteLength / 3) * 4;
}

/** Decodes, or returns null where `text` is not strict standard base64. */
export function decodeBase64(text: string): Uint8Array | null {
  return decodeBase64Text(new TextEncoder().encode(text));
}

/** The same of text that is there as ASCII bytes. */
export function decodeBase64Text(text: Uint8Array): Uint8Array<ArrayBuffer> | null {
  if (text.length % 4 !== 0) return null;
  const padding = text.at(-1) !== PADDING ? 0 : text.at(-2) === PADDING ? 2 : 1;
  const digits = text.length - padding;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let bits = 0;
  let held = 0;
  let length = 0;
  for (let i = 0; i < digits; i++) {
    const value = VALUES[text[i]!]!;
    if (value === INVALID) return null;
    bits = ((bits << 6) | value) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[length++] = bits >> held;
    }
  }
  const trailing = bits & ((1 << held) - 1);
  return trailing === 0 ? bytes : null;
}

/** Encodes `bytes` with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  const codes = new Uint8Array(base64Length(bytes.length));
  writeBase64(bytes, 0, bytes.length, codes, 0);
  return new TextDecoder().decode(codes);
}

/** Writes the text of `bytes[start, end)` to `target` at `offset` and returns the offset after it. */
export function writeBase64(bytes: Uint8Array, start: number, end: number, target: Uint8Array, offset: number): number {
  let out = offset;
  let i = start;
  for (; i + 2 < end; i += 3) {
    const group = (bytes[i]! << 16) | (bytes[i + 1]! << 8) | bytes[i + 2]!;
    target[out++] = BASE64_DIGITS[group >> 18]!;
    target[out++] = BASE64_DIGITS[(group >> 12) & 63]!;
    target[out++] = BASE64_DIGITS[(group >> 6) & 63]!;
    target[out++] = BASE64_DIGITS[group & 63]!;
  }
  if (i < end) {
    const two = i + 1 < end;
    const group = (bytes[i]! << 16) | (two ? bytes[i + 1]! << 8 : 0);
    target[out++] = BASE64_DIGITS[group >> 18]!;
    target[out++] = BASE64_DIGITS[(group >> 12) & 63]!;
    target[out++] = two ? BASE64_DIGITS[(group >> 6) & 63]! : PADDING;
    target[out++] = PADDING;
  }
  return out;
}
