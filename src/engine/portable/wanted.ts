import { gatherRuns } from '../../format/box.js';
import type { BoxRuns } from '../../format/box.js';
import { COPY_STRIDE } from '../../format/vocabulary.js';
import type { Placed } from './job.js';

/** What a request wants of one tensor. It is asked in the order of the tensor's bytes. */
export interface Wanted {
  readonly tensor: number;
  /** The first byte at or behind `at` that is wanted; infinity if there is none. All before it have been placed. */
  next(at: number): number;
  /** Where the last byte ends that is wanted before `limit`; there is one. */
  reach(limit: number): number;
  /** What is wanted of bytes that stand at `begin`, and where in the destination it goes. */
  place(begin: number, bytes: Uint8Array): Placed[];
}

/** A box, whose runs are never all expanded. */
export class WantedBox implements Wanted {
  readonly #runs: BoxRuns;

  /** @param runs of a box that the caller of the engine does not have */
  constructor(runs: BoxRuns) {
    this.#runs = runs;
  }

  get tensor(): number {
    return this.#runs.box.tensor;
  }

  next(at: number): number {
    const run = this.#runs.firstEndingAfter(at);
    return run < this.#runs.count ? Math.max(at, this.#runs.startOf(run)) : Infinity;
  }

  reach(limit: number): number {
    const run = this.#runs.firstEndingAfter(limit);
    if (run < this.#runs.count && this.#runs.startOf(run) < limit) return limit;
    return this.#runs.startOf(run - 1) + this.#runs.box.length;
  }

  place(begin: number, bytes: Uint8Array): Placed[] {
    const { offset, gathered } = gatherRuns(this.#runs, begin, bytes);
    return gathered.byteLength === 0 ? [] : [{ offset, bytes: gathered }];
  }
}

/** Columns of a row of `ReadRequest.copies`. */
const [TENSOR, START, LENGTH, DESTINATION] = [0, 1, 2, 3] as const;

/** Rows of `ReadRequest.copies` about one tensor: those at `[first, last)`. They may overlap. */
export class WantedRows implements Wanted {
  readonly tensor: number;
  readonly #rows: Float64Array;
  readonly #last: number;
  /** Rows from here on have not begun. */
  #next: number;
  /** Rows that have begun and are not placed to their end. */
  #begun: number[] = [];

  constructor(rows: Float64Array, first: number, last: number) {
    this.tensor = rows[first + TENSOR]!;
    this.#rows = rows;
    this.#next = first;
    this.#last = last;
  }

  next(at: number): number {
    if (this.#begun.length > 0) return at;
    // Those that want nothing.
    while (this.#next < this.#last && this.#rows[this.#next + LENGTH] === 0) this.#next += COPY_STRIDE;
    return this.#next < this.#last ? this.#rows[this.#next + START]! : Infinity;
  }

  reach(limit: number): number {
    this.#beginBefore(limit);
    return this.#begun.reduce((reach, row) => Math.max(reach, Math.min(limit, this.#end(row))), 0);
  }

  place(begin: number, bytes: Uint8Array): Placed[] {
    const stop = begin + bytes.byteLength;
    this.#beginBefore(stop);
    const placed: Placed[] = [];
    for (const row of this.#begun) {
      const start = this.#rows[row + START]!;
      const [from, to] = [Math.max(start, begin), Math.min(this.#end(row), stop)];
      const offset = this.#rows[row + DESTINATION]! + from - start;
      if (from < to) placed.push({ offset, bytes: bytes.subarray(from - begin, to - begin) });
    }
    this.#begun = this.#begun.filter((row) => this.#end(row) > stop);
    return placed;
  }

  #beginBefore(limit: number): void {
    for (; this.#next < this.#last && this.#rows[this.#next + START]! < limit; this.#next += COPY_STRIDE) {
      if (this.#rows[this.#next + LENGTH]! > 0) this.#begun.push(this.#next);
    }
  }

  #end(row: number): number {
    return this.#rows[row + START]! + this.#rows[row + LENGTH]!;
  }
}

/** Rows by tensor. */
export function* byTensor(rows: Float64Array): Generator<WantedRows> {
  for (let first = 0, last = 0; first < rows.length; first = last) {
    while (last < rows.length && rows[last + TENSOR] === rows[first + TENSOR]) last += COPY_STRIDE;
    yield new WantedRows(rows, first, last);
  }
}
