import { keyMemory } from './secret.js';

/** Bytes that are put together one after the other. */
export class BytePacker {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;
  readonly #wipes: boolean;

  /** `wipes`: for keys; memory that was outgrown is wiped. */
  constructor({ wipes = false } = {}) {
    this.#wipes = wipes;
    this.#bytes = keyMemory(INITIAL_BYTES);
  }

  get length(): number {
    return this.#length;
  }

  /** Makes room for `count` bytes, to be filled in. */
  extend(count: number): Uint8Array {
    if (this.#length + count > this.#bytes.byteLength) this.#grow(this.#length + count);
    this.#length += count;
    return this.#bytes.subarray(this.#length - count, this.#length);
  }

  push(bytes: Uint8Array): void {
    this.extend(bytes.byteLength).set(bytes);
  }

  /** Hands the bytes over, in memory of their own. */
  finish(): Uint8Array<ArrayBuffer> {
    const packed = keyMemory(this.#length);
    packed.set(this.#bytes.subarray(0, this.#length));
    this.wipe();
    return packed;
  }

  wipe(): void {
    if (this.#wipes) this.#bytes.fill(0);
    this.#length = 0;
  }

  #grow(needed: number): void {
    const grown = keyMemory(Math.max(needed, this.#bytes.byteLength * 2));
    grown.set(this.#bytes);
    if (this.#wipes) this.#bytes.fill(0);
    this.#bytes = grown;
  }
}

const INITIAL_BYTES = 256;
