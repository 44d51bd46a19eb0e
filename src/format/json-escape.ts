/** Escapes in JSON strings, over UTF-8 bytes. */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;

/** What the escapes of one letter stand for; 0 where there is none. */
const SIMPLE = new Uint8Array(256);
for (const pair of ['""', '\\\\', '//', 'b\b', 'f\f', 'n\n', 'r\r', 't\t']) {
  SIMPLE[pair.charCodeAt(0)] = pair.charCodeAt(1);
}

/** The code point that the escape stands for whose letter is at `p`; -1 where JSON has no such escape, or a lone surrogate. */
export function readEscape(bytes: Uint8Array, p: number): number {
  const letter = bytes[p] ?? 0;
  if (letter !== LETTER_U) return SIMPLE[letter] === 0 ? -1 : SIMPLE[letter]!;
  const unit = readHex(bytes, p + 1);
  if (unit < 0xd800 || unit > 0xdfff) return unit;
  if (unit > 0xdbff || bytes[p + 5] !== BACKSLASH || bytes[p + 6] !== LETTER_U) return -1;
  const low = readHex(bytes, p + 7);
  return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00) : -1;
}

/** Bytes that an escape takes after its backslash. */
export function escapeLength(bytes: Uint8Array, p: number, codePoint: number): number {
  if (bytes[p] !== LETTER_U) return 1;
  return codePoint > 0xffff ? 11 : 5;
}

/**
 * Whether the canonical form writes the escape so (FORMAT.md §2): a letter where there is one, but no `\/`; for other control
 * characters `\u00xx` in lower case; everything else unescaped.
 */
export function isCanonicalEscape(bytes: Uint8Array, p: number, codePoint: number): boolean {
  if (bytes[p] !== LETTER_U) return bytes[p] !== 0x2f;
  const hasLetter = codePoint >= 0x08 && codePoint <= 0x0d && codePoint !== 0x0b;
  const lastDigit = bytes[p + 4]!;
  const isUpperCase = lastDigit >= 0x41 && lastDigit <= 0x46;
  return codePoint < 0x20 && !hasLetter && !isUpperCase;
}

/** Resolves the escapes of a literal's contents, which must be valid. */
export function unescapeUtf8(literal: Uint8Array): Uint8Array {
  // Nothing takes more bytes than its escape.
  const out = new Uint8Array(literal.length);
  let length = 0;
  for (let p = 0; p < literal.length; p++) {
    let c = literal[p]!;
    if (c === BACKSLASH) {
      c = literal[++p]!;
      if (c !== QUOTE && c !== BACKSLASH) {
        const codePoint = readEscape(literal, p);
        length = writeUtf8(out, length, codePoint);
        p += escapeLength(literal, p, codePoint) - 1;
        continue;
      }
    }
    out[length++] = c;
  }
  return out.subarray(0, length);
}

function writeUtf8(out: Uint8Array, offset: number, codePoint: number): number {
  if (codePoint < 0x80) {
    out[offset] = codePoint;
    return offset + 1;
  }
  const size = codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
  let rest = codePoint;
  for (let i = size - 1; i > 0; i--) {
    out[offset + i] = 0x80 | (rest & 0x3f);
    rest >>= 6;
  }
  out[offset] = ((0xf00 >> size) & 0xff) | rest;
  return offset + size;
}

/** Four hexadecimal digits, or -1. */
function readHex(bytes: Uint8Array, p: number): number {
  let unit = 0;
  for (let i = p; i < p + 4; i++) {
    const c = bytes[i] ?? 0;
    const letter = c | 0x20;
    if (c >= 0x30 && c <= 0x39) unit = unit * 16 + (c - 0x30);
    else if (letter >= 0x61 && letter <= 0x66) unit = unit * 16 + (letter - 0x57);
    else return -1;
  }
  return unit;
}
