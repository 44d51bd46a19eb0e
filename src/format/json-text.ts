/** Which escapes the contents of a string literal hold: none, `\"` alone, or any. */
export type Escapes = 'none' | 'quotes' | 'any';

/**
 * A JSON text as UTF-8: all of `bytes`, or one that is the value of a JSON string within `bytes`.
 *
 * `__encryption__` is JSON in a JSON string, up to 100 MB of it. As long as its quotes are all that is escaped, it can be read
 * where it stands, with `\"` for each quote, and nothing need be copied.
 */
export interface JsonText {
  bytes: Uint8Array;
  start: number;
  end: number;
  /** The text is the contents of a string literal whose escapes are all `\"`. */
  isNested: boolean;
}

export function wholeText(source: Uint8Array | string): JsonText {
  const bytes = typeof source === 'string' ? new TextEncoder().encode(source) : source;
  return { bytes, start: 0, end: bytes.length, isNested: false };
}
