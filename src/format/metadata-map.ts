import { unescapeUtf8 } from './json-escape.js';
import { wholeText, type Escapes, type JsonText } from './json-text.js';

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
  readonly #literals = new Map<string, Literal>();
  readonly #texts = new Map<string, string>();

  constructor(header: Uint8Array) {
    this.#header = header;
  }

  /** For the header's scan. Returns false, and adds nothing, if the key is there already. */
  add(key: string, literal: Literal): boolean {
    if (this.#literals.has(key)) return false;
    this.#literals.set(key, literal);
    return true;
  }

  get size(): number {
    return this.#literals.size;
  }

  has(key: string): boolean {
    return this.#literals.has(key);
  }

  get(key: string): string | undefined {
    const known = this.#texts.get(key);
    const literal = known === undefined ? this.#literals.get(key) : undefined;
    if (literal === undefined) return known;
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.#utf8(literal));
    this.#texts.set(key, text);
    return text;
  }

  /** A value that is a JSON document, to be scanned without making a string of it. */
  getJson(key: string): JsonText | undefined {
    const literal = this.#literals.get(key);
    if (literal === undefined) return undefined;
    const { start, end, escapes } = literal;
    if (escapes === 'quotes') return { bytes: this.#header, start, end, isNested: true };
    return wholeText(this.#utf8(literal));
  }

  keys(): MapIterator<string> {
    return this.#literals.keys();
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

  #utf8({ start, end, escapes }: Literal): Uint8Array {
    const contents = this.#header.subarray(start, end);
    return escapes === 'none' ? contents : unescapeUtf8(contents);
  }
}
