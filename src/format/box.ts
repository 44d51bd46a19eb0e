/** The runs of a box in a tensor, counted but not listed: a narrow column of a long tensor has as many as it has rows. */

/**
 * Copies of one tensor: for each combination of indices below `counts`, the last one running fastest, `length` bytes from
 * `start` + Σ index · stride of the tensor, one after another from the start of the destination.
 *
 * Runs neither overlap nor go backwards: each stride is at least what all that is inside of it spans.
 */
export interface TensorBox {
  tensor: number;
  /** In the tensor's bytes. */
  start: number;
  /** Bytes of each run; more than 0. */
  length: number;
  /** How often each level repeats what is inside of it, the outermost first. None for a single run. */
  counts: readonly number[];
  /** In bytes, one per count. */
  strides: readonly number[];
}

/** Arithmetic on the runs of a box, which are numbered from 0 in the order of the tensor. */
export class BoxRuns {
  readonly box: TensorBox;
  /** How many runs there are. */
  readonly count: number;
  /** Bytes of all runs: the length of the destination. */
  readonly byteLength: number;
  /** Where the last run ends, in the tensor's bytes. */
  readonly end: number;
  /** Per level: how many runs one step of it has. */
  readonly #runs: number[];
  /** Per level: the bytes that one step of it spans. */
  readonly #spans: number[];

  constructor(box: TensorBox) {
    const { start, length, counts, strides } = box;
    this.box = box;
    this.#runs = [];
    this.#spans = [];
    let runs = 1;
    let span = length;
    for (let level = counts.length - 1; level >= 0; level--) {
      this.#runs[level] = runs;
      this.#spans[level] = span;
      runs *= counts[level]!;
      span += (counts[level]! - 1) * strides[level]!;
    }
    this.count = runs;
    this.byteLength = runs * length;
    this.end = start + span;
  }

  /** Whether the runs neither overlap nor go backwards, and all numbers are exact. */
  get isOrdered(): boolean {
    const { start, length, counts, strides } = this.box;
    return (
      counts.length === strides.length &&
      [start, ...strides, this.end, this.byteLength].every((n) => Number.isSafeInteger(n) && n >= 0) &&
      [length, ...counts].every((n) => Number.isSafeInteger(n) && n > 0) &&
      strides.every((stride, level) => stride >= this.#spans[level]!)
    );
  }

  /** Where a run begins, in the tensor's bytes. */
  startOf(run: number): number {
    const { start, strides } = this.box;
    let at = start;
    let rest = run;
    for (let level = 0; level < strides.length; level++) {
      const index = Math.floor(rest / this.#runs[level]!);
      at += index * strides[level]!;
      rest -= index * this.#runs[level]!;
    }
    return at;
  }

  /** The first run that ends behind `offset` in the tensor's bytes; `count` if there is none. */
  firstEndingAfter(offset: number): number {
    const { start, length, counts, strides } = this.box;
    let rest = offset - start;
    if (rest < 0) return 0;
    let run = 0;
    for (let level = 0; level < counts.length; level++) {
      const index = Math.min(Math.floor(rest / strides[level]!), counts[level]! - 1);
      run += index * this.#runs[level]!;
      rest -= index * strides[level]!;
      // Between two steps of this level: the next step is the first that ends behind.
      if (rest >= this.#spans[level]!) return run + this.#runs[level]!;
    }
    return rest < length ? run : run + 1;
  }
}

export function isBox(copies: Float64Array | TensorBox): copies is TensorBox {
  // Not by class: an array of another realm is none of this one's.
  return typeof copies === 'object' && !ArrayBuffer.isView(copies);
}

/**
 * Copies what the box wants of `bytes`, which stand at `begin` in the tensor, one run behind the other.
 *
 * @returns where in the box's destination it belongs, and the bytes, which may be none
 */
export function gatherRuns(runs: BoxRuns, begin: number, bytes: Uint8Array): { offset: number; gathered: Uint8Array } {
  const { length, counts, strides } = runs.box;
  const end = begin + bytes.byteLength;
  const first = runs.firstEndingAfter(begin);
  const offset = first < runs.count ? first * length + Math.max(0, begin - runs.startOf(first)) : runs.byteLength;
  const last = runs.firstEndingAfter(end);
  const beyond = last < runs.count ? last * length + Math.max(0, end - runs.startOf(last)) : runs.byteLength;
  const gathered = new Uint8Array(beyond - offset);
  const inner = counts.at(-1) ?? 1;
  const stride = strides.at(-1) ?? 0;
  let to = 0;
  for (let run = first; to < gathered.length;) {
    // The runs of the innermost level are told apart by adding.
    const left = inner - (run % inner);
    let start = runs.startOf(run);
    for (let i = 0; i < left && to < gathered.length; i++, run++, start += stride) {
      const stop = Math.min(start + length, end) - begin;
      let from = Math.max(start - begin, 0);
      if (length > 64) {
        gathered.set(bytes.subarray(from, stop), to);
        to += stop - from;
      } else {
        while (from < stop) gathered[to++] = bytes[from++]!;
      }
    }
  }
  return { offset, gathered };
}
