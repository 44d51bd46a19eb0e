import type { Engine, Secret } from '../engine/types.js';
import type { TextRange } from './jwk-document.js';

const BACKSLASH = 0x5c;

/**
 * Decodes the base64 of a JWK member from the document's bytes into a secret. Standard and URL-safe alphabets, padding
 * optional, trailing bits zero (FORMAT.md §3). Null if it is not that.
 */
export function importMember(document: Uint8Array, { start, end }: TextRange, engine: Engine): Secret | null {
  const text = document.subarray(start, end);
  if (!text.includes(BACKSLASH)) return engine.importSecretBase64(text);
  const plain = new Uint8Array(text.length);
  try {
    const length = unescapeAscii(text, plain);
    return length === null ? null : engine.importSecretBase64(plain.subarray(0, length));
  } finally {
    engine.wipe(plain);
  }
}

/** The same for a public member: its bytes. */
export function decodePublicMember(document: Uint8Array, range: TextRange, engine: Engine): Uint8Array | null {
  const secret = importMember(document, range, engine);
  if (secret === null) return null;
  try {
    return engine.exportSecret(secret);
  } finally {
    secret.dispose();
  }
}

/**
 * Takes out the escapes that JSON writers put into base64: `\/` (PHP) and `\u002B` (.NET). Returns the length written,
 * null for an escape that cannot stand for a base64 character.
 */
function unescapeAscii(text: Uint8Array, plain: Uint8Array): number | null {
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    let byte = text[at]!;
    if (byte === BACKSLASH) {
      const escape = text[++at];
      if (escape === 0x2f) {
        byte = 0x2f;
      } else if (escape === 0x75) {
        const code = hexValue(text.subarray(at + 1, at + 5));
        if (code === null || code > 0x7f) return null;
        byte = code;
        at += 4;
      } else {
        return null;
      }
    }
    plain[length++] = byte;
  }
  return length;
}

function hexValue(digits: Uint8Array): number | null {
  if (digits.length !== 4) return null;
  let value = 0;
  for (const digit of digits) {
    const lower = digit | 0x20;
    if (digit >= 0x30 && digit <= 0x39) value = value * 16 + digit - 0x30;
    else if (lower >= 0x61 && lower <= 0x66) value = value * 16 + lower - 0x61 + 10;
    else return null;
  }
  return value;
}
