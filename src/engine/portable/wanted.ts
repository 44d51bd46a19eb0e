import { BoxRuns, gatherRuns } from '../../format/box.js';
import type { TensorBox } from '../../format/box.js';
import { COPY_STRIDE } from '../../format/vocabulary.js';
import { ensure, isOffset } from './kind.js';
import type { Placed } from './job.js';
import type { PortableTable } from './table.js';

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

/** @throws RangeError unless all of the box lies within its tensor and a destination of `capacity` bytes */
export function checkedBox(table: PortableTable, box: TensorBox, capacity: number): BoxRuns {
  // What the caller has may change while the job runs.
  const runs = new BoxRuns(structuredClone(box));
  const { tensor } = runs.box;
  ensure(isOffset(tensor) && tensor < table.count, 'the box names a tensor that is not there');
  ensure(runs.isOrdered, 'the box holds a number that is no exact offset, or its runs are out of order');
  ensure(runs.end <= table.length(tensor), 'the box runs past the end of its tensor');
  ensure(runs.byteLength <= capacity, 'the box runs past the end of the destination');
  return runs;
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

/** @throws RangeError unless all lies within the tensors and a destination of `capacity` bytes, in order */
export function checkRows(table: PortableTable, rows: Float64Array, capacity: number): void {
  ensure(rows.length % COPY_STRIDE === 0, `copies must have ${COPY_STRIDE} numbers per row`);
  for (let at = 0; at < rows.length; at += COPY_STRIDE) {
    const problem = problemOf(table, rows, at, capacity);
    if (problem !== null) throw new RangeError(`copy ${at / COPY_STRIDE} ${problem}`);
  }
}

function problemOf(table: PortableTable, rows: Float64Array, at: number, capacity: number): string | null {
  const row = rows.subarray(at, at + COPY_STRIDE);
  if (!row.every(isOffset)) return 'holds a number that is no exact offset';
  const [tensor, start, length, destination] = row as unknown as [number, number, number, number];
  if (tensor >= table.count) return 'names a tensor that is not there';
  if (start + length > table.length(tensor)) return 'runs past the end of its tensor';
  if (destination + length > capacity) return 'runs past the end of the destination';
  if (at === 0) return null;
  const previous = rows[at - COPY_STRIDE + TENSOR]!;
  const inOrder = previous === tensor ? rows[at - COPY_STRIDE + START]! <= start : previous < tensor;
  return inOrder ? null : 'is out of order: copies go by tensor, then start';
}
