/**
 * Tensor names as UTF-8 bytes, found by hash. A Map of strings would take a third of the time in which a header with 100,000
 * tensors is opened; here a name is hashed and compared where it stands in the text, and no string is made of it.
 */
import { CryptoTensorsError } from '../errors.js';

const encoder = new TextEncoder();

/** Whoever writes a file chooses its names. A seed of this process's own makes collisions hard to choose. */
const SEED = Math.floor(Math.random() * 2 ** 32);
const MIN_SLOTS = 16;
/** Chosen collisions end here, instead of taking quadratic time. Chance does not come near: half of the slots are free. */
const MAX_PROBES = 1024;
/** 2^32 divided by the golden ratio, as an odd number: Knuth's multiplier for hashing. */
const GOLDEN_RATIO = 0x9e3779b1;

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
    const hash = hashOf(source, start, end);
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
    return this.slots[this.findSlot(hashOf(source, start, end), source, start, end)]! - 1;
  }

  indexOf(name: string): number {
    return this.indexOfBytes(encoder.encode(name));
  }

  /** The names as strings. They share one string of their own, and do not keep the header's text in memory. */
  strings(): string[] {
    const { length } = this;
    const all = new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.bytes.subarray(0, length));
    if (all.length === length) return this.ends.map((end, i) => all.slice(this.endOf(i - 1), end));
    let at = 0;
    return this.ends.map((end, i) => all.slice(at, (at += this.utf16Length(this.endOf(i - 1), end))));
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

/** Four bytes at a time: multiply, then fold the well-mixed upper bits into the lower ones. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = SEED ^ (end - start);
  let p = start;
  for (; p + 3 < end; p += 4) {
    hash = mix(hash, bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24));
  }
  for (; p < end; p++) hash = mix(hash, bytes[p]!);
  return hash;
}

function mix(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, GOLDEN_RATIO);
  return product ^ (product >>> 15);
}
