/**
 * `__metadata__`: text by key, in the order of the header's text.
 *
 * Values are decoded when they are asked for. The one of `__encryption__` can be most of a header, and is read as bytes.
 */
export class MetadataMap implements ReadonlyMap<string, string> {
  readonly #bytes = new Map<string, Uint8Array>();
  readonly #texts = new Map<string, string>();

  /** For the header's scan. Returns false, and adds nothing, if the key is there already. */
  add(key: string, value: Uint8Array): boolean {
    if (this.#bytes.has(key)) return false;
    this.#bytes.set(key, value);
    return true;
  }

  get size(): number {
    return this.#bytes.size;
  }

  has(key: string): boolean {
    return this.#bytes.has(key);
  }

  get(key: string): string | undefined {
    const known = this.#texts.get(key);
    const bytes = known === undefined ? this.#bytes.get(key) : undefined;
    if (bytes === undefined) return known;
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
    this.#texts.set(key, text);
    return text;
  }

  /** The value as UTF-8, without the cost of a string. It must not be changed. */
  getBytes(key: string): Uint8Array | undefined {
    return this.#bytes.get(key);
  }

  keys(): MapIterator<string> {
    return this.#bytes.keys();
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
}
