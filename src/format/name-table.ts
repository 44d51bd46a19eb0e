/**
 * Tensor names as UTF-8 bytes, found by hash. A Map of strings would take a third of the time in which a header with 100,000
 * tensors is opened; here a name is hashed and compared where it stands in the text, and no string is made of it.
 */
import { CryptoTensorsError } from '../errors.js';
import { ITEMS_PER_BREATH, breathe } from '../twin.js';
import type { Twin } from '../twin.js';
import { halfSipHash, randomHashKey } from './half-sip-hash.js';

const encoder = new TextEncoder();

/** Whoever writes a file chooses its names, but does not know this process's key. */
const KEY = randomHashKey();
const MIN_SLOTS = 16;
/** Should somebody know the key all the same, it ends here. Chance does not come near: half of the slots are free. */
const MAX_PROBES = 1024;

export class NameTable {
  /** All names, one after another. */
  private bytes = new Uint8Array(1024);
  /** Where each name ends in `bytes`; it begins where the one before it ends. */
  private readonly ends: number[] = [];
  private readonly hashes: number[] = [];
  /** Open addressing: index of a name + 1, or 0. At least half of the slots are free. */
  private slots = new Int32Array(MIN_SLOTS);

  get count(): number {
    return this.ends.length;
  }

  /** Adds the name `source[start, end)`. Returns false, and adds nothing, if it is there already. */
  add(source: Uint8Array, start = 0, end = source.length): boolean {
    if (this.count * 2 >= this.slots.length) this.grow();
    const hash = halfSipHash(KEY, source, start, end);
    const slot = this.findSlot(hash, source, start, end);
    if (this.slots[slot] !== 0) return false;
    const at = this.length;
    this.reserve(at + end - start);
    for (let p = start, to = at; p < end; p++) this.bytes[to++] = source[p]!;
    this.slots[slot] = this.ends.push(at + end - start);
    this.hashes.push(hash);
    return true;
  }

  /** Index of the name `source[start, end)` in the order in which names were added, or -1. */
  indexOfBytes(source: Uint8Array, start = 0, end = source.length): number {
    return this.slots[this.findSlot(halfSipHash(KEY, source, start, end), source, start, end)]! - 1;
  }

  indexOf(name: string): number {
    return this.indexOfBytes(encoder.encode(name));
  }

  /** The names as strings. They share some long ones of their own, and do not keep the header's text in memory. */
  *strings(): Twin<string[]> {
    const strings: string[] = [];
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    for (let first = 0; first < this.count; first += ITEMS_PER_BREATH) {
      yield* breathe();
      const last = Math.min(first + ITEMS_PER_BREATH, this.count);
      const start = this.endOf(first - 1);
      const end = this.endOf(last - 1);
      const text = decoder.decode(this.bytes.subarray(start, end));
      const isAscii = text.length === end - start;
      for (let i = first, at = 0; i < last; i++) {
        const from = this.endOf(i - 1);
        const length = isAscii ? this.ends[i]! - from : this.utf16Length(from, this.ends[i]!);
        strings.push(text.slice(at, (at += length)));
      }
    }
    return strings;
  }

  /** Whether the last name comes before the one that was added before it, in the order of UTF-8. */
  get lastIsOutOfOrder(): boolean {
    const { bytes } = this;
    const middle = this.endOf(this.count - 2);
    const { length } = this;
    let p = this.endOf(this.count - 3);
    let q = middle;
    while (p < middle && q < length && bytes[p] === bytes[q]) {
      p++;
      q++;
    }
    return p < middle && (q === length || bytes[p]! > bytes[q]!);
  }

  /** Bytes of all names. */
  private get length(): number {
    return this.endOf(this.count - 1);
  }

  private endOf(index: number): number {
    return index < 0 ? 0 : this.ends[index]!;
  }

  /** The slot that holds the name, or the free one where it belongs. */
  private findSlot(hash: number, source: Uint8Array, start: number, end: number): number {
    const { slots, hashes } = this;
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let probes = 0; probes < MAX_PROBES; probes++) {
      const index = slots[slot]! - 1;
      if (index < 0 || (hashes[index] === hash && this.equals(index, source, start, end))) return slot;
      slot = (slot + 1) & mask;
    }
    throw new CryptoTensorsError(
      'InvalidHeaderDeserialization',
      'the names of the tensors were chosen so that they take very long to tell apart; the file is refused as hostile',
    );
  }

  private equals(index: number, source: Uint8Array, start: number, end: number): boolean {
    const { bytes } = this;
    const from = this.endOf(index - 1);
    if (this.ends[index]! - from !== end - start) return false;
    for (let p = start, q = from; p < end; p++, q++) if (source[p] !== bytes[q]) return false;
    return true;
  }

  private grow(): void {
    const slots = new Int32Array(this.slots.length * 2);
    const mask = slots.length - 1;
    for (let index = 0; index < this.count; index++) {
      let slot = this.hashes[index]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
    this.slots = slots;
  }

  private reserve(length: number): void {
    if (length <= this.bytes.length) return;
    const bytes = new Uint8Array(Math.max(length, this.bytes.length * 2));
    bytes.set(this.bytes);
    this.bytes = bytes;
  }

  /** UTF-16 units of well-formed UTF-8: one per character, two where it takes four bytes. */
  private utf16Length(start: number, end: number): number {
    let length = 0;
    for (let p = start; p < end; p++) {
      const c = this.bytes[p]!;
      if (c < 0x80 || c >= 0xc0) length += c >= 0xf0 ? 2 : 1;
    }
    return length;
  }
}
