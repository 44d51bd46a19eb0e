import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import { BoxRuns, fetchedRanges, gatherRuns, isBox } from '../../format/box.js';
import type { TensorBox } from '../../format/box.js';
import { COPY_STRIDE } from '../../format/vocabulary.js';
import type { ReadRequest, UnsealRequest } from '../types.js';
import { checkFloat64, isOffset } from './arguments.js';
import { maxMessageBytes } from './chunks.js';
import { UNIT_BYTES } from './job.js';
import type { Chunk, Job, Passage, Placed } from './job.js';
import { MemorySink, portableSink, portableSource } from './places.js';
import type { PortableSink, PortableSource } from './places.js';
import type { Cipher, Hasher, Opener, Primitives } from './primitives.js';
import { equalBytes } from './secret.js';
import { portableTable } from './table.js';
import type { Check, PortableTable } from './table.js';

/** Columns of `ReadRequest.copies`. */
const TENSOR = 0;
const START = 1;
const LENGTH = 2;
const DESTINATION = 3;

/** A read, checked, as a job. */
export function readJob(primitives: Primitives, request: ReadRequest): Job {
  return openJob(primitives, request, new MemorySink(request.destination, 'destination'), request.copies);
}

export function unsealJob(primitives: Primitives, request: UnsealRequest): Job {
  const sink = portableSink(request.sink);
  const table = portableTable(request.table);
  const { tensors } = request;
  checkFloat64(tensors, 'tensors');
  if (tensors.length % 2 !== 0) throw new RangeError('tensors must have 2 numbers per row');
  const copies = new Float64Array((tensors.length / 2) * COPY_STRIDE);
  for (let row = 0; row < tensors.length / 2; row++) {
    const tensor = tensors[row * 2]!;
    if (!(tensor < table.count)) throw new RangeError(`there is no tensor ${tensor}`);
    copies.set([tensor, 0, table.length(tensor), tensors[row * 2 + 1]!], row * COPY_STRIDE);
  }
  return openJob(primitives, request, sink, copies);
}

function openJob(
  primitives: Primitives,
  request: Omit<ReadRequest, 'destination' | 'copies'>,
  sink: PortableSink,
  copies: ReadRequest['copies'],
): Job {
  const table = portableTable(request.table);
  const source = portableSource(request.source);
  const leases = [table.lease, source.lease, sink.lease];
  for (const lease of leases) lease.assertOpen();
  const wanted = isBox(copies) ? new WantedBox(table, copies) : new WantedRows(table, copies);
  wanted.check(sink.memory?.byteLength ?? Number.MAX_SAFE_INTEGER);
  return {
    sources: [source],
    sink,
    leases,
    chunks: planOpen(table, source, wanted, new Passages(primitives)),
    total: wanted.total,
    unchecked: wanted.unchecked,
    signal: request.signal,
    onProgress: request.onProgress,
  };
}

/** Each chunk that is touched, once. */
function* planOpen(table: PortableTable, source: PortableSource, wanted: Wanted, passages: Passages): Generator<Chunk> {
  for (const { tensor, chunk, begin, end, place } of wanted.chunks()) {
    if (table.isSealed(tensor) && !table.unwrapped) {
      throw new EngineFault('InvalidOption', 'the data keys have not been unwrapped');
    }
    const check = chunk < 0 ? null : table.check(tensor, chunk);
    yield {
      tensor,
      chunk,
      source,
      position: table.position(tensor) + begin,
      length: end - begin,
      verified: check !== null,
      place,
      begin: () => passages.begin(check, end - begin),
    };
  }
}

/** What a request wants, held against the table. */
interface Wanted {
  readonly total: number;
  readonly unchecked: boolean;
  /** @throws RangeError unless all lies within the tensors and a destination of `capacity` bytes, in order */
  check(capacity: number): void;
  chunks(): Generator<TouchedChunk>;
}

/** A chunk of which something is wanted. Bounds count from the start of the tensor. */
interface TouchedChunk {
  tensor: number;
  /** -1 where nothing is checked together. */
  chunk: number;
  begin: number;
  end: number;
  place: Chunk['place'];
}

/** A range whose bytes need not be verified together, a unit at a time. */
function* unverified(tensor: number, start: number, stop: number, place: Chunk['place']): Generator<TouchedChunk> {
  for (let begin = start; begin < stop; begin += UNIT_BYTES) {
    const skipped = begin - start;
    yield {
      tensor,
      chunk: -1,
      begin,
      end: Math.min(begin + UNIT_BYTES, stop),
      place: (at, bytes) => place(skipped + at, bytes),
    };
  }
}

/** The runs of a box, which are never all expanded. */
class WantedBox implements Wanted {
  readonly #table: PortableTable;
  readonly #runs: BoxRuns;
  readonly total: number;

  constructor(table: PortableTable, box: TensorBox) {
    this.#table = table;
    // What the caller has may change while the job runs.
    this.#runs = new BoxRuns(structuredClone(box));
    this.total = this.#runs.byteLength;
  }

  get unchecked(): boolean {
    return this.#table.chunkSize(this.#runs.box.tensor) === null;
  }

  check(capacity: number): void {
    const { tensor } = this.#runs.box;
    if (!isOffset(tensor) || tensor >= this.#table.count)
      throw new RangeError('the box names a tensor that is not there');
    if (!this.#runs.isOrdered)
      throw new RangeError('the box holds a number that is no exact offset, or its runs are out of order');
    if (this.#runs.end > this.#table.length(tensor)) throw new RangeError('the box runs past the end of its tensor');
    if (this.total > capacity) throw new RangeError('the box runs past the end of the destination');
  }

  *chunks(): Generator<TouchedChunk> {
    const runs = this.#runs;
    const { tensor } = runs.box;
    const size = this.#table.length(tensor);
    const unit = this.#table.chunkSize(tensor);
    if (unit === null) {
      const ranges = fetchedRanges(runs.box);
      for (let range = 0; range < ranges.count; range++) {
        const start = ranges.startOf(range);
        yield* unverified(tensor, start, start + ranges.box.length, this.#place(start));
      }
      return;
    }
    const chunkSize = unit === 0 ? size : unit;
    for (let end = 0, run = 0; run < runs.count; run = runs.firstEndingAfter(end)) {
      const chunk = Math.floor(Math.max(runs.startOf(run), end) / chunkSize);
      const begin = chunk * chunkSize;
      end = Math.min(begin + chunkSize, size);
      yield { tensor, chunk, begin, end, place: this.#place(begin) };
    }
  }

  #place(start: number) {
    return (at: number, bytes: Uint8Array): Placed[] => {
      const { offset, gathered } = gatherRuns(this.#runs, start + at, bytes);
      return [{ offset, bytes: gathered }];
    };
  }
}

/** Rows of `ReadRequest.copies`. */
class WantedRows implements Wanted {
  readonly #table: PortableTable;
  readonly #rows: Float64Array;
  total = 0;
  unchecked = false;

  constructor(table: PortableTable, copies: Float64Array) {
    checkFloat64(copies, 'copies');
    this.#table = table;
    // The caller's array may change while the job runs.
    this.#rows = copies.slice();
  }

  check(capacity: number): void {
    if (this.#rows.length % COPY_STRIDE !== 0) throw new RangeError(`copies must have ${COPY_STRIDE} numbers per row`);
    for (let at = 0; at < this.#rows.length; at += COPY_STRIDE) {
      const problem = this.#problem(at, capacity);
      if (problem !== null) throw new RangeError(`copy ${at / COPY_STRIDE} ${problem}`);
      const length = this.#rows[at + LENGTH]!;
      this.unchecked ||= length > 0 && this.#table.chunkSize(this.#rows[at + TENSOR]!) === null;
      this.total += length;
    }
  }

  #problem(at: number, capacity: number): string | null {
    const row = this.#rows.subarray(at, at + COPY_STRIDE);
    if (!row.every(isOffset)) return 'holds a number that is no exact offset';
    const [tensor, start, length, destination] = row as unknown as [number, number, number, number];
    if (tensor >= this.#table.count) return 'names a tensor that is not there';
    if (start + length > this.#table.length(tensor)) return 'runs past the end of its tensor';
    if (destination + length > capacity) return 'runs past the end of the destination';
    if (at === 0) return null;
    const previous = this.#rows[at - COPY_STRIDE + TENSOR]!;
    const inOrder = previous === tensor ? this.#rows[at - COPY_STRIDE + START]! <= start : previous < tensor;
    return inOrder ? null : 'is out of order: copies go by tensor, then start';
  }

  *chunks(): Generator<TouchedChunk> {
    const rows = this.#rows;
    for (let first = 0, last = 0; first < rows.length; first = last) {
      while (last < rows.length && rows[last + TENSOR] === rows[first + TENSOR]) last += COPY_STRIDE;
      yield* this.#chunksOf(rows[first + TENSOR]!, first, last);
    }
  }

  /** Of one tensor, which the rows at `[first, last)` are about. */
  *#chunksOf(tensor: number, first: number, last: number): Generator<TouchedChunk> {
    const size = this.#table.length(tensor);
    if (size === 0) {
      yield { tensor, chunk: 0, begin: 0, end: 0, place: this.#place(0, []) };
      return;
    }
    const wanted: number[] = [];
    for (let at = first; at < last; at += COPY_STRIDE) if (this.#rows[at + LENGTH]! > 0) wanted.push(at);
    const unit = this.#table.chunkSize(tensor);
    if (unit === null) {
      for (const at of wanted) {
        const start = this.#rows[at + START]!;
        yield* unverified(tensor, start, this.#end(at), this.#place(start, [at]));
      }
      return;
    }
    const chunkSize = unit === 0 ? size : unit;
    let next = 0;
    let reaching: number[] = [];
    for (let chunk = 0; next < wanted.length || reaching.length > 0; chunk++) {
      if (reaching.length === 0) chunk = Math.floor(this.#rows[wanted[next]! + START]! / chunkSize);
      const begin = chunk * chunkSize;
      const end = Math.min(begin + chunkSize, size);
      while (next < wanted.length && this.#rows[wanted[next]! + START]! < end) reaching.push(wanted[next++]!);
      yield { tensor, chunk, begin, end, place: this.#place(begin, reaching) };
      reaching = reaching.filter((at) => this.#end(at) > end);
    }
  }

  #end(at: number): number {
    return this.#rows[at + START]! + this.#rows[at + LENGTH]!;
  }

  /** For the bytes from `origin` of the tensor, which come in order, and the rows that want something of them. */
  #place(origin: number, reaching: readonly number[]) {
    const rows = this.#rows;
    const endOf = (at: number) => this.#end(at);
    // Rows before this one have had all their bytes.
    let served = 0;
    return function* (at: number, bytes: Uint8Array): Generator<Placed> {
      const begin = origin + at;
      const end = begin + bytes.byteLength;
      for (let i = served; i < reaching.length && rows[reaching[i]! + START]! < end; i++) {
        const row = reaching[i]!;
        const start = rows[row + START]!;
        if (i === served && endOf(row) <= end) served++;
        const from = Math.max(start, begin);
        const to = Math.min(endOf(row), end);
        if (from >= to) continue;
        yield { offset: rows[row + DESTINATION]! + from - start, bytes: bytes.subarray(from - begin, to - begin) };
      }
    };
  }
}

const NOTHING = new Uint8Array(0);

/** Makes what verifies, and decrypts, each chunk in turn. The cipher of a tensor serves all its chunks. */
class Passages {
  readonly #primitives: Primitives;
  #cipher: { dek: Uint8Array; cipher: Cipher } | null = null;

  constructor(primitives: Primitives) {
    this.#primitives = primitives;
  }

  *begin(check: Check | null, length: number): Twin<Passage> {
    if (check === null) return unchecked;
    if (check.kind === 'digest') return digesting(this.#primitives.hasher(check.algorithm), check.digest);
    // No such message can have been encrypted.
    if (length > maxMessageBytes(check.algorithm)) throw badTag();
    const { algorithm, dek } = check;
    if (this.#cipher?.dek.byteOffset !== dek.byteOffset) {
      this.#cipher = { dek, cipher: yield* this.#primitives.cipher(algorithm, dek) };
    }
    return opening(this.#cipher.cipher.opener(check.iv, check.tag));
  }
}

/* eslint-disable require-yield -- Only ciphers make anybody wait. */

const unchecked: Passage = {
  fresh: false,
  update: (stored) => stored,
  *finish() {
    return NOTHING;
  },
};

function digesting(hasher: Hasher, expected: Uint8Array): Passage {
  return {
    fresh: false,
    update(stored) {
      hasher.update(stored);
      return stored;
    },
    *finish() {
      if (equalBytes(hasher.digest(), expected)) return NOTHING;
      throw new EngineFault('BadDigest', 'the digest does not match');
    },
  };
}

function opening(opener: Opener): Passage {
  return {
    fresh: true,
    update: (stored) => opener.update(stored),
    *finish() {
      const rest = yield* opener.finish();
      if (rest === null) throw badTag();
      return rest;
    },
  };
}

function badTag(): EngineFault {
  return new EngineFault('BadTag', 'the authentication tag does not match');
}
