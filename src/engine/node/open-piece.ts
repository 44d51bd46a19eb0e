import { BoxRuns, gatherRuns } from '../../format/box.js';
import { AEAD_KEY_BYTES, DIGEST_BYTES } from '../types.js';
import { PIECE_BYTES } from './chunks.js';
import { Check, OPEN_STRIDE, OpenColumn, TARGET_STRIDE } from './piece.js';
import type { OpenPiece } from './piece.js';
import { PORTION_BYTES, forEachPortion, located } from './thread.js';
import type { Thread } from './thread.js';
import { TAG_CHECK_BYTES, digestVerifier, tagVerifier, unchecked } from './verifier.js';
import type { Verifier } from './verifier.js';

/** Verifies, decrypts and copies the chunks of a piece. Wipes its keys. */
export function openPiece(piece: OpenPiece, thread: Thread): void {
  try {
    new Opening(piece, thread).run();
  } finally {
    piece.keys.fill(0);
  }
}

/** A row of `OpenPiece.chunks`. */
interface Chunk {
  tensor: number;
  chunk: number;
  position: number;
  length: number;
  check: number;
  key: number;
  targetsBegin: number;
  targetsEnd: number;
}

class Opening {
  readonly #piece: OpenPiece;
  readonly #thread: Thread;
  #checksTaken = 0;

  constructor(piece: OpenPiece, thread: Thread) {
    this.#piece = piece;
    this.#thread = thread;
  }

  run(): void {
    const rows = this.#piece.chunks.length / OPEN_STRIDE;
    for (let row = 0; row < rows;) {
      const first = this.#chunk(row);
      if (first.length > PIECE_BYTES) {
        this.#guarded(first, () => this.#openLong(first));
        row++;
        continue;
      }
      // What lies together in the file is fetched by one read.
      const together = [first];
      let length = first.length;
      for (row++; row < rows; row++) {
        const next = this.#chunk(row);
        if (next.position !== first.position + length || length + next.length > PIECE_BYTES) break;
        together.push(next);
        length += next.length;
      }
      this.#openTogether(together, length);
    }
  }

  #openTogether(chunks: readonly Chunk[], length: number): void {
    const stored = this.#thread.scratch(length);
    this.#guarded(chunks[0]!, () => this.#thread.inputs[0]!.read(chunks[0]!.position, stored));
    let at = 0;
    let delivered = 0;
    for (const chunk of chunks) {
      delivered += this.#guarded(chunk, () => this.#openShort(chunk, stored.subarray(at, at + chunk.length)));
      at += chunk.length;
    }
    this.#thread.advance(delivered);
  }

  /** Not a byte leaves the thread before all of the chunk has passed. */
  #openShort(chunk: Chunk, stored: Uint8Array): number {
    const verifier = this.#verifier(chunk);
    const opened: Uint8Array[] = [];
    try {
      forEachPortion(stored.byteLength, (begin, end) => opened.push(verifier.update(stored.subarray(begin, end))));
      verifier.finish();
      return this.#deliverAll(chunk, opened);
    } finally {
      if (verifier.decrypts) wipeAll(opened);
    }
  }

  /**
   * A chunk that is larger than a thread's memory is delivered as it is decrypted, since a destination is wiped when the
   * chunk does not pass. What is written to a file cannot be taken back, so there it is held until then.
   */
  #openLong(chunk: Chunk): void {
    const verifier = this.#verifier(chunk);
    const held: Uint8Array[] = [];
    const { output } = this.#thread;
    const targets = this.#targets(chunk);
    try {
      for (let begin = 0; begin < chunk.length; begin += PORTION_BYTES) {
        const stored = this.#thread.scratch(Math.min(PORTION_BYTES, chunk.length - begin));
        this.#thread.inputs[0]!.read(chunk.position + begin, stored);
        const opened = verifier.update(stored);
        if (!output.revocable) {
          held.push(verifier.decrypts ? opened : Uint8Array.from(opened));
          this.#thread.advance(0);
          continue;
        }
        this.#thread.advance(targets.deliver(begin, opened));
        if (verifier.decrypts) opened.fill(0);
      }
      verifier.finish();
      this.#thread.advance(this.#deliverAll(chunk, held));
    } finally {
      wipeAll(held);
    }
  }

  #deliverAll(chunk: Chunk, parts: readonly Uint8Array[]): number {
    const targets = this.#targets(chunk);
    let at = 0;
    let delivered = 0;
    for (const part of parts) {
      delivered += targets.deliver(at, part);
      at += part.byteLength;
    }
    return delivered;
  }

  #targets(chunk: Chunk): Targets | BoxTargets {
    const { box } = this.#piece;
    if (box !== null) return new BoxTargets(new BoxRuns(box.box), chunk.position - box.position, this.#thread);
    const rows = this.#piece.targets.subarray(chunk.targetsBegin * TARGET_STRIDE, chunk.targetsEnd * TARGET_STRIDE);
    return new Targets(rows, this.#thread);
  }

  /** To be called once for each chunk, in order. */
  #verifier(chunk: Chunk): Verifier {
    const { keys, algorithm, digest } = this.#piece;
    if (chunk.check === Check.tag) {
      const size = AEAD_KEY_BYTES[algorithm!];
      const key = keys.subarray(chunk.key * size, (chunk.key + 1) * size);
      return tagVerifier(algorithm!, key, this.#takeCheck(TAG_CHECK_BYTES), chunk.length);
    }
    return chunk.check === Check.digest ? digestVerifier(digest!, this.#takeCheck(DIGEST_BYTES)) : unchecked;
  }

  #takeCheck(size: number): Uint8Array {
    this.#checksTaken += size;
    return this.#piece.checks.subarray(this.#checksTaken - size, this.#checksTaken);
  }

  #chunk(row: number): Chunk {
    const { chunks } = this.#piece;
    const column = (name: keyof typeof OpenColumn) => chunks[row * OPEN_STRIDE + OpenColumn[name]]!;
    return {
      tensor: column('tensor'),
      chunk: column('chunk'),
      position: column('position'),
      length: column('length'),
      check: column('check'),
      key: column('key'),
      targetsBegin: row === 0 ? 0 : chunks[(row - 1) * OPEN_STRIDE + OpenColumn.targetsEnd]!,
      targetsEnd: column('targetsEnd'),
    };
  }

  #guarded<Result>(chunk: Chunk, work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw located(error, chunk);
    }
  }
}

function wipeAll(parts: readonly Uint8Array[]): void {
  for (const part of parts) part.fill(0);
}

/** Where the bytes of one chunk go. Parts of it are delivered in order. */
class Targets {
  readonly #rows: Float64Array;
  readonly #thread: Thread;
  /** Rows before this one have had all their bytes. */
  #first = 0;

  constructor(rows: Float64Array, thread: Thread) {
    this.#rows = rows;
    this.#thread = thread;
  }

  /** Copies what is wanted of `bytes`, which stand at `begin` in the chunk. Returns how many bytes that were. */
  deliver(begin: number, bytes: Uint8Array): number {
    const end = begin + bytes.byteLength;
    let delivered = 0;
    for (let at = this.#first; at < this.#rows.length; at += TARGET_STRIDE) {
      const start = this.#rows[at]!;
      // Sorted by start.
      if (start >= end) break;
      const stop = start + this.#rows[at + 1]!;
      if (at === this.#first && stop <= end) this.#first += TARGET_STRIDE;
      const from = Math.max(start, begin);
      const to = Math.min(stop, end);
      if (from >= to) continue;
      this.#thread.output.write(this.#rows[at + 2]! + from - start, bytes.subarray(from - begin, to - begin));
      delivered += to - from;
    }
    return delivered;
  }
}

/** The same for the runs of a box. */
class BoxTargets {
  readonly #runs: BoxRuns;
  /** Where the chunk begins in the tensor. */
  readonly #begin: number;
  readonly #thread: Thread;

  constructor(runs: BoxRuns, begin: number, thread: Thread) {
    this.#runs = runs;
    this.#begin = begin;
    this.#thread = thread;
  }

  deliver(begin: number, bytes: Uint8Array): number {
    const { offset, gathered } = gatherRuns(this.#runs, this.#begin + begin, bytes);
    if (gathered.byteLength > 0) this.#thread.output.write(offset, gathered);
    gathered.fill(0);
    return gathered.byteLength;
  }
}
