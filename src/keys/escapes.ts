import type { Engine } from '../engine/types.js';

const [QUOTE, BACKSLASH, SLASH, LETTER_U] = [0x22, 0x5c, 0x2f, 0x75];

/** What base64 holds besides letters and digits, and how some JSON writers escape it: `\u002B` (.NET), `\/` (PHP). */
const ESCAPED: ReadonlyMap<string, number> = new Map([
  ['002b', 0x2b],
  ['002d', 0x2d],
  ['002f', 0x2f],
  ['003d', 0x3d],
  ['005f', 0x5f],
]);

/**
 * Calls `read` with JSON text in which no character of base64 is escaped, so that key material can be taken from it byte
 * by byte. Other escapes, and whatever is wrong with the text, stay. The copy that this may need is wiped.
 */
export function withPlainBase64<Result>(text: Uint8Array, engine: Engine, read: (text: Uint8Array) => Result): Result {
  if (!text.includes(BACKSLASH)) return read(text);
  const copy = new Uint8Array(text.length);
  try {
    return read(copy.subarray(0, resolveEscapes(text, copy)));
  } finally {
    engine.wipe(copy);
  }
}

/** Returns the length written. */
function resolveEscapes(text: Uint8Array, copy: Uint8Array): number {
  let length = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at]!;
    if (byte === QUOTE) inString = !inString;
    if (byte !== BACKSLASH || !inString) {
      copy[length++] = byte;
      continue;
    }
    const letter = text[++at];
    const character = letter === SLASH ? SLASH : letter === LETTER_U ? unicodeEscape(text, at + 1) : undefined;
    if (character !== undefined) {
      copy[length++] = character;
      if (letter === LETTER_U) at += 4;
    } else {
      copy[length++] = BACKSLASH;
      if (letter !== undefined) copy[length++] = letter;
    }
  }
  return length;
}

function unicodeEscape(text: Uint8Array, at: number): number | undefined {
  return ESCAPED.get(
    Buffer.from(text.subarray(at, at + 4))
      .toString('latin1')
      .toLowerCase(),
  );
}
