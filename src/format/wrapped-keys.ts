/** Puts other wrapped keys into `__encryption__` and leaves every other character of it as it stands (FORMAT.md §3). */
import { base64Length, writeBase64 } from './base64.js';
import { JsonKey } from './json-key.js';
import { Byte, JsonScanner, decodeUtf8 } from './json-scanner.js';
import { wholeText } from './json-text.js';
import { scanJsonValue } from './json.js';
import { Reserved, AEAD_KEY_BYTES, IV_BYTES, TAG_BYTES, type AeadAlgorithm } from './vocabulary.js';

/** The fields that depend on the master key, in the order of a row of wrapped keys. */
const FIELDS = ['wrapped_key', 'key_iv', 'key_tag'].map((name) => new JsonKey(name));

/**
 * `__encryption__` with a place for each wrapped key: made once, it can be filled any number of times (one body, many
 * headers).
 */
export class WrappedKeysTemplate {
  /** Records, in the order of the text: as many rows as `fill` takes. */
  readonly count: number;
  readonly #text: Uint8Array;
  /** Where each field of each row stands in the text. */
  readonly #starts: readonly number[];
  readonly #lengths: readonly number[];

  /** @param encryption the text of `__encryption__`, which `scanRecords` has accepted */
  constructor(encryption: string, algorithm: AeadAlgorithm) {
    this.#lengths = [AEAD_KEY_BYTES[algorithm], IV_BYTES, TAG_BYTES];
    const bytes = new TextEncoder().encode(encryption);
    const { text, starts } = makeRoom(bytes, findFields(bytes), this.#lengths);
    this.#text = text;
    this.#starts = starts;
    this.count = starts.length / FIELDS.length;
  }

  /** The text with other wrapped keys. @param rows as `Engine.wrapDeks` returns them, in the order of the records */
  fill(rows: Uint8Array): string {
    const text = this.#text.slice();
    let at = 0;
    for (const [i, start] of this.#starts.entries()) {
      const end = at + this.#lengths[i % FIELDS.length]!;
      writeBase64(rows, at, end, text, start);
      at = end;
    }
    if (at !== rows.length) throw new Error(`${rows.length} bytes of wrapped keys were given for ${at}`);
    return decodeUtf8(text);
  }
}

/** `[start, end)` of the contents of each field's string literal, three per record. */
function findFields(text: Uint8Array): Int32Array {
  const scanner = new JsonScanner(wholeText(text), { code: 'InvalidCryptoMetadata', name: Reserved.encryption });
  const ranges: number[] = [];
  scanner.open(Byte.openBrace);
  if (scanner.isEmpty(Byte.closeBrace)) return new Int32Array(0);
  do {
    scanner.key();
    scanner.open(Byte.openBrace);
    const row = ranges.length;
    do {
      scanner.key();
      const field = FIELDS.findIndex((key) => scanner.isKey(key));
      if (field < 0) {
        scanJsonValue(scanner, 3);
        continue;
      }
      scanner.string();
      ranges[row + 2 * field] = scanner.start;
      ranges[row + 2 * field + 1] = scanner.end;
    } while (scanner.hasMore(Byte.closeBrace));
  } while (scanner.hasMore(Byte.closeBrace));
  return Int32Array.from(ranges);
}

/**
 * Gives each literal the length that its base64 has without escapes. That is the length that it has already, unless a writer
 * was fond of `\/`.
 */
function makeRoom(
  text: Uint8Array,
  ranges: Int32Array,
  lengths: readonly number[],
): { text: Uint8Array; starts: number[] } {
  const order = Array.from({ length: ranges.length / 2 }, (_, i) => i);
  order.sort((a, b) => ranges[2 * a]! - ranges[2 * b]!);
  const room = order.reduce((sum, i) => sum + base64Length(lengths[i % lengths.length]!), 0);
  const taken = order.reduce((sum, i) => sum + ranges[2 * i + 1]! - ranges[2 * i]!, 0);
  const made = new Uint8Array(text.length - taken + room);
  const starts = new Array<number>(order.length);
  let read = 0;
  let written = 0;
  for (const i of order) {
    made.set(text.subarray(read, ranges[2 * i]), written);
    written += ranges[2 * i]! - read;
    starts[i] = written;
    written += base64Length(lengths[i % lengths.length]!);
    read = ranges[2 * i + 1]!;
  }
  made.set(text.subarray(read), written);
  return { text: made, starts };
}
