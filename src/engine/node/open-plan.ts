import { BoxRuns, fetchedRanges, isBox } from '../../format/box.js';
import type { TensorBox } from '../../format/box.js';
import { COPY_STRIDE, IV_BYTES, TAG_BYTES, DIGEST_BYTES } from '../types.js';
import { isOffset } from './arguments.js';
import { PIECE_BYTES, writeChunkIv } from './chunks.js';
import { BytePacker } from './packer.js';
import { Check, TARGET_STRIDE } from './piece.js';
import type { OpenPiece } from './piece.js';
import type { NodeTable } from './table.js';

/** Columns of `ReadRequest.copies`. */
const TENSOR = 0;
const START = 1;
const LENGTH = 2;
const DESTINATION = 3;

/** What a chunk costs besides its bytes, in bytes: a cipher of its own. */
const CHUNK_OVERHEAD = 4096;

/** What the copies of a read amount to. */
export interface CopySummary {
  /** Bytes that are to be delivered. */
  total: number;
  /** Whether bytes are read that neither a tag nor a digest covers. */
  unchecked: boolean;
}

/**
 * Holds the copies against the table and a destination of `capacity` bytes.
 *
 * @throws RangeError unless each lies within both, sorted by tensor, then start
 */
export function checkCopies(table: NodeTable, copies: Float64Array | TensorBox, capacity: number): CopySummary {
  if (isBox(copies)) return checkBox(table, copies, capacity);
  if (copies.length % COPY_STRIDE !== 0) throw new RangeError(`copies must have ${COPY_STRIDE} numbers per row`);
  const summary: CopySummary = { total: 0, unchecked: false };
  for (let at = 0; at < copies.length; at += COPY_STRIDE) {
    const tensor = copies[at + TENSOR]!;
    const length = copies[at + LENGTH]!;
    const problem = problemOf(table, copies, at, capacity);
    if (problem !== null) throw new RangeError(`copy ${at / COPY_STRIDE} ${problem}`);
    const protection = table.protection(tensor);
    summary.unchecked ||= protection === 'none' && length > 0;
    summary.total += length;
  }
  return summary;
}

function checkBox(table: NodeTable, box: TensorBox, capacity: number): CopySummary {
  const runs = new BoxRuns(box);
  if (!isOffset(box.tensor) || box.tensor >= table.count)
    throw new RangeError('the box names a tensor that is not there');
  if (!runs.isOrdered)
    throw new RangeError('the box holds a number that is no exact offset, or its runs are out of order');
  if (runs.end > table.length(box.tensor)) throw new RangeError('the box runs past the end of its tensor');
  if (runs.byteLength > capacity) throw new RangeError('the box runs past the end of the destination');
  return { total: runs.byteLength, unchecked: table.protection(box.tensor) === 'none' };
}

function problemOf(table: NodeTable, copies: Float64Array, at: number, capacity: number): string | null {
  const tensor = copies[at + TENSOR]!;
  const start = copies[at + START]!;
  const length = copies[at + LENGTH]!;
  const destination = copies[at + DESTINATION]!;
  if (!isOffset(tensor) || !isOffset(start) || !isOffset(length) || !isOffset(destination))
    return 'holds a number that is no exact offset';
  if (tensor >= table.count) return 'names a tensor that is not there';
  if (start + length > table.length(tensor)) return 'runs past the end of its tensor';
  if (destination + length > capacity) return 'runs past the end of the destination';
  if (at === 0) return null;
  const previous = copies[at - COPY_STRIDE + TENSOR]!;
  const inOrder = previous === tensor ? copies[at - COPY_STRIDE + START]! <= start : previous < tensor;
  return inOrder ? null : 'is out of order: copies go by tensor, then start';
}

/** Copies of the same tensor: rows `[first, last)`. */
interface Group {
  tensor: number;
  first: number;
  last: number;
}

/**
 * Cuts a read into pieces of about 2 MiB, one at a time as they are asked for. Each chunk that a copy touches is in exactly
 * one piece, together with all that the copies want of it.
 */
export function* planOpen(table: NodeTable, copies: Float64Array | TensorBox): Generator<OpenPiece, void> {
  const pieces = new OpenPieces(table, copies);
  try {
    for (const chunk of isBox(copies) ? boxChunks(table, copies) : copiedChunks(table, copies)) {
      if (pieces.isFull(chunk)) yield pieces.take();
      pieces.add(chunk);
    }
    if (!pieces.empty) yield pieces.take();
  } finally {
    pieces.wipe();
  }
}

function* copiedChunks(table: NodeTable, copies: Float64Array): Generator<TouchedChunk> {
  for (const group of groups(copies)) yield* touchedChunks(table, copies, group);
}

/** The runs of a box are found again by whoever opens its chunks. */
function* boxChunks(table: NodeTable, box: TensorBox): Generator<TouchedChunk> {
  const { tensor } = box;
  const size = table.length(tensor);
  if (table.protection(tensor) === 'none') {
    const ranges = fetchedRanges(box);
    for (let range = 0; range < ranges.count; range++) {
      const start = ranges.startOf(range);
      const stop = start + ranges.box.length;
      for (let begin = start; begin < stop; begin += PIECE_BYTES) {
        yield { tensor, chunk: -1, begin, end: Math.min(begin + PIECE_BYTES, stop), copies: [] };
      }
    }
    return;
  }
  const runs = new BoxRuns(box);
  const chunkSize = table.chunkSize(tensor) || size;
  for (let end = 0, run = 0; run < runs.count; run = runs.firstEndingAfter(end)) {
    const chunk = Math.floor(Math.max(runs.startOf(run), end) / chunkSize);
    end = Math.min((chunk + 1) * chunkSize, size);
    yield { tensor, chunk, begin: chunk * chunkSize, end, copies: [] };
  }
}

function* groups(copies: Float64Array): Generator<Group> {
  const rows = copies.length / COPY_STRIDE;
  for (let first = 0; first < rows;) {
    const tensor = copies[first * COPY_STRIDE + TENSOR]!;
    let last = first + 1;
    while (last < rows && copies[last * COPY_STRIDE + TENSOR] === tensor) last++;
    yield { tensor, first, last };
    first = last;
  }
}

/** A chunk and the copies (by row) that reach into it; bounds count from the start of the tensor. */
interface TouchedChunk {
  tensor: number;
  chunk: number;
  begin: number;
  end: number;
  copies: readonly number[];
}

function* touchedChunks(
  table: NodeTable,
  copies: Float64Array,
  { tensor, first, last }: Group,
): Generator<TouchedChunk> {
  const size = table.length(tensor);
  if (size === 0) {
    yield { tensor, chunk: 0, begin: 0, end: 0, copies: [] };
    return;
  }
  const startOf = (row: number) => copies[row * COPY_STRIDE + START]!;
  const endOf = (row: number) => startOf(row) + copies[row * COPY_STRIDE + LENGTH]!;
  if (table.protection(tensor) === 'none') {
    // Nothing is verified together: just the bytes that are wanted.
    for (let row = first; row < last; row++) {
      for (let begin = startOf(row); begin < endOf(row); begin += PIECE_BYTES) {
        yield { tensor, chunk: -1, begin, end: Math.min(begin + PIECE_BYTES, endOf(row)), copies: [row] };
      }
    }
    return;
  }
  const chunkSize = table.chunkSize(tensor) || size;
  const wanted = Array.from({ length: last - first }, (_, i) => first + i).filter((row) => endOf(row) > startOf(row));
  let next = 0;
  let reaching: number[] = [];
  for (let chunk = 0; next < wanted.length || reaching.length > 0; chunk++) {
    if (reaching.length === 0) chunk = Math.floor(startOf(wanted[next]!) / chunkSize);
    const begin = chunk * chunkSize;
    const end = Math.min(begin + chunkSize, size);
    while (next < wanted.length && startOf(wanted[next]!) < end) reaching.push(wanted[next++]!);
    yield { tensor, chunk, begin, end, copies: reaching };
    reaching = reaching.filter((row) => endOf(row) > end);
  }
}

/** Puts chunks together until a piece is full. */
class OpenPieces {
  readonly #table: NodeTable;
  readonly #copies: Float64Array;
  readonly #box: OpenPiece['box'];
  readonly #keys = new BytePacker({ wipes: true });
  readonly #checks = new BytePacker();
  #chunks: number[] = [];
  #targets: number[] = [];
  #keyOf = -1;
  #keyCount = 0;
  #cost = 0;

  constructor(table: NodeTable, copies: Float64Array | TensorBox) {
    this.#table = table;
    this.#copies = isBox(copies) ? new Float64Array(0) : copies;
    this.#box = isBox(copies) ? { box: copies, position: table.position(copies.tensor) } : null;
  }

  get empty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Whether the chunk is better left to the next piece. */
  isFull(chunk: TouchedChunk): boolean {
    return !this.empty && this.#cost + cost(chunk) > PIECE_BYTES + CHUNK_OVERHEAD;
  }

  add(touched: TouchedChunk): void {
    const { tensor, chunk, begin, end } = touched;
    const check = this.#addCheck(tensor, chunk);
    for (const row of touched.copies) {
      const at = row * COPY_STRIDE;
      const start = this.#copies[at + START]!;
      const from = Math.max(start, begin);
      const to = Math.min(start + this.#copies[at + LENGTH]!, end);
      this.#targets.push(from - begin, to - from, this.#copies[at + DESTINATION]! + from - start);
    }
    const targetsEnd = this.#targets.length / TARGET_STRIDE;
    this.#chunks.push(
      tensor,
      chunk,
      this.#table.position(tensor) + begin,
      end - begin,
      check,
      this.#keyCount - 1,
      targetsEnd,
    );
    this.#cost += cost(touched);
  }

  /** The DEK goes with a piece once per tensor; IV, tag or digest once per chunk. */
  #addCheck(tensor: number, chunk: number): number {
    const table = this.#table;
    if (table.protection(tensor) === 'none') return Check.none;
    if (table.protection(tensor) === 'digest') {
      const digests = table.digests(tensor);
      if (digests.byteLength === 0) return Check.none;
      this.#checks.push(digests.subarray(chunk * DIGEST_BYTES, (chunk + 1) * DIGEST_BYTES));
      return Check.digest;
    }
    const tags = table.tags(tensor);
    if (tags.byteLength === 0) return Check.none;
    if (this.#keyOf !== tensor) {
      this.#keys.push(table.dek(tensor));
      this.#keyOf = tensor;
      this.#keyCount++;
    }
    writeChunkIv(table.iv(tensor), chunk, this.#checks.extend(IV_BYTES));
    this.#checks.push(tags.subarray(chunk * TAG_BYTES, (chunk + 1) * TAG_BYTES));
    return Check.tag;
  }

  take(): OpenPiece {
    const piece: OpenPiece = {
      kind: 'open',
      sources: [0],
      algorithm: this.#table.algorithm,
      digest: this.#table.digestAlgorithm,
      chunks: Float64Array.from(this.#chunks),
      targets: Float64Array.from(this.#targets),
      box: this.#box,
      keys: this.#keys.finish(),
      checks: this.#checks.finish(),
    };
    this.#chunks = [];
    this.#targets = [];
    this.#keyOf = -1;
    this.#keyCount = 0;
    this.#cost = 0;
    return piece;
  }

  wipe(): void {
    this.#keys.wipe();
  }
}

function cost({ begin, end }: TouchedChunk): number {
  return end - begin + CHUNK_OVERHEAD;
}
