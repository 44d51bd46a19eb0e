import { runSync } from '../twin.js';
import { unescapeUtf8 } from './json-escape.js';
import { wholeText, type Escapes, type JsonText } from './json-text.js';
import { NameTable } from './name-table.js';

/** Where a value stands in the header. */
interface Literal {
  start: number;
  end: number;
  escapes: Escapes;
}

/**
 * `__metadata__`: text by key, in the order of the header's text.
 *
 * Values are decoded when they are asked for. The one of `__encryption__` can be most of a header, and is read where it stands.
 */
export class MetadataMap implements ReadonlyMap<string, string> {
  readonly #header: Uint8Array;
  /** The keys. Up to a million of them take no object each. */
  readonly #names = new NameTable();
  /** Where the value of each key stands in the header. */
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #escapes: Escapes[] = [];
  readonly #texts = new Map<string, string>();
  #keys: readonly string[] | null = null;

  constructor(header: Uint8Array) {
    this.#header = header;
  }

  /** For the header's scan: a key, whose value `setLast` sets. Returns false, and adds nothing, if the key is there already. */
  add(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    return this.#names.add(bytes, start, end);
  }

  /** Whether the last key comes before the one before it, in the order of UTF-8. */
  get lastIsOutOfOrder(): boolean {
    return this.#names.lastIsOutOfOrder;
  }

  setLast({ start, end, escapes }: Literal): void {
    this.#starts.push(start);
    this.#ends.push(end);
    this.#escapes.push(escapes);
  }

  get size(): number {
    return this.#names.count;
  }

  has(key: string): boolean {
    return this.#names.indexOf(key) >= 0;
  }

  get(key: string): string | undefined {
    const known = this.#texts.get(key);
    const index = known === undefined ? this.#names.indexOf(key) : -1;
    if (index < 0) return known;
    const literal = this.#literal(index);
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.#utf8(literal));
    this.#texts.set(key, text);
    return text;
  }

  /** A value that is a JSON document, to be scanned without making a string of it. */
  getJson(key: string): JsonText | undefined {
    const index = this.#names.indexOf(key);
    if (index < 0) return undefined;
    const literal = this.#literal(index);
    const { start, end, escapes } = literal;
    if (escapes === 'quotes') return { bytes: this.#header, start, end, isNested: true };
    return wholeText(this.#utf8(literal));
  }

  keys(): MapIterator<string> {
    this.#keys ??= runSync(this.#names.strings());
    return this.#keys.values();
  }

  *values(): MapIterator<string> {
    for (const key of this.keys()) yield this.get(key)!;
  }

  *entries(): MapIterator<[string, string]> {
    for (const key of this.keys()) yield [key, this.get(key)!];
  }

  [Symbol.iterator](): MapIterator<[string, string]> {
    return this.entries();
  }

  forEach(visit: (value: string, key: string, map: ReadonlyMap<string, string>) => void): void {
    for (const [key, value] of this) visit(value, key, this);
  }

  #literal(index: number): Literal {
    return { start: this.#starts[index]!, end: this.#ends[index]!, escapes: this.#escapes[index]! };
  }

  #utf8({ start, end, escapes }: Literal): Uint8Array {
    const contents = this.#header.subarray(start, end);
    return escapes === 'none' ? contents : unescapeUtf8(contents);
  }
}
