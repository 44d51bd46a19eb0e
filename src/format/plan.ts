/** Which bytes of which tensors go where: the copies that an engine carries out, as plain data. */
import { CryptoTensorsError, quote } from '../errors.js';
import { dtypeBits } from './dtype.js';
import type { Header } from './header.js';
import type { NormalizedSlice } from './slice.js';

/** Numbers per copy; the layout is the engine's (`ReadRequest.copies`). */
const COPY_STRIDE = 4;

/** What the plans need to know of a file. */
export type PlannedHeader = Pick<Header, 'names' | 'begin' | 'end' | 'dtype' | 'shape'>;

/** Rows of 4, sorted by tensor then start: tensor index, start in the tensor's bytes, length, offset in the destination. */
export type Copies = Float64Array;

/** Whole tensors in one destination. */
export interface TensorsPlan {
  copies: Copies;
  /** Where each of the given tensors begins in the destination. */
  offsets: number[];
  /** Length of the destination. */
  byteLength: number;
}

/** Part of one tensor. */
export interface SlicePlan {
  copies: Copies;
  byteLength: number;
  shape: number[];
}

/** What carrying out copies costs. */
export interface PlanCost {
  /** Bytes of storage that must be read: whole chunks where a chunk is verified as one. */
  bytesRead: number;
  /** Chunks that must be verified. */
  chunksOpened: number;
}

/**
 * Plans whole tensors, in data order, each at a multiple of `alignment`. Neighbours in the file stay neighbours, without a gap
 * unless the alignment needs one.
 *
 * @param indices in any order; a tensor that comes twice is read once
 */
export function planTensors(header: PlannedHeader, indices: readonly number[], alignment = 64): TensorsPlan {
  const sorted = [...new Set(indices)].sort((a, b) => a - b);
  const copies = new Float64Array(sorted.length * COPY_STRIDE);
  const placed = new Map<number, number>();
  let end = 0;
  for (let k = 0; k < sorted.length; k++) {
    const tensor = sorted[k]!;
    const length = header.end[tensor]! - header.begin[tensor]!;
    const offset = Math.ceil(end / alignment) * alignment;
    const row = k * COPY_STRIDE;
    copies[row] = tensor;
    copies[row + 2] = length;
    copies[row + 3] = offset;
    placed.set(tensor, offset);
    end = offset + length;
  }
  return { copies, offsets: indices.map((tensor) => placed.get(tensor)!), byteLength: end };
}

/**
 * Plans a box of one tensor: its longest runs of neighbouring elements, one after another in the destination. An empty box of a
 * tensor that is not empty reads nothing.
 *
 * @throws {CryptoTensorsError} `MisalignedSlice` if a run of sub-byte elements begins or ends within a byte
 */
export function planSlice(header: PlannedHeader, tensor: number, slice: NormalizedSlice): SlicePlan {
  const { starts, stops, shape } = slice;
  if (header.begin[tensor] === header.end[tensor]) {
    return { copies: Float64Array.of(tensor, 0, 0, 0), byteLength: 0, shape };
  }
  if (starts.some((start, k) => start === stops[k])) return { copies: new Float64Array(0), byteLength: 0, shape };

  const bits = dtypeBits(header.dtype(tensor));
  const { begins, length } = findRuns(header.shape(tensor), slice);
  const bytes = wholeBytes(length * bits, header, tensor);
  const copies = new Float64Array(begins.length * COPY_STRIDE);
  for (let r = 0; r < begins.length; r++) {
    const row = r * COPY_STRIDE;
    copies[row] = tensor;
    copies[row + 1] = wholeBytes(begins[r]! * bits, header, tensor);
    copies[row + 2] = bytes;
    copies[row + 3] = r * bytes;
  }
  return { copies, byteLength: begins.length * bytes, shape };
}

/**
 * What carrying out `copies` costs.
 *
 * @param chunkSizeOf bytes of a tensor that are verified as one: 0 for all of it, null where nothing is verified
 */
export function planCost(
  header: PlannedHeader,
  copies: Copies,
  chunkSizeOf: (tensor: number) => number | null,
): PlanCost {
  const cost: PlanCost = { bytesRead: 0, chunksOpened: 0 };
  let lastTensor = -1;
  let lastChunk = -1;
  for (let row = 0; row < copies.length; row += COPY_STRIDE) {
    const tensor = copies[row]!;
    const start = copies[row + 1]!;
    const length = copies[row + 2]!;
    const chunkSize = chunkSizeOf(tensor);
    if (chunkSize === null) {
      cost.bytesRead += length;
      continue;
    }
    const size = header.end[tensor]! - header.begin[tensor]!;
    const unit = chunkSize === 0 ? Math.max(size, 1) : chunkSize;
    const first = Math.floor(start / unit);
    const last = Math.floor(Math.max(start, start + length - 1) / unit);
    // Copies are sorted, so a chunk that was opened before can only be the last one.
    const from = tensor === lastTensor ? Math.max(first, lastChunk + 1) : first;
    if (from <= last) {
      cost.chunksOpened += last - from + 1;
      cost.bytesRead += Math.min(size, (last + 1) * unit) - from * unit;
    }
    lastTensor = tensor;
    lastChunk = last;
  }
  return cost;
}

/**
 * The runs of a box that is not empty, in elements. All runs are as long as each other: from the last dimension that is not
 * taken whole, inwards.
 */
function findRuns(
  shape: readonly number[],
  { starts, stops }: NormalizedSlice,
): { begins: Float64Array; length: number } {
  const strides = new Array<number>(shape.length).fill(1);
  for (let k = shape.length - 2; k >= 0; k--) strides[k] = strides[k + 1]! * shape[k + 1]!;
  let inner = shape.length - 1;
  while (inner > 0 && starts[inner] === 0 && stops[inner] === shape[inner]) inner--;
  if (inner < 0) return { begins: Float64Array.of(0), length: 1 };

  let begins = Float64Array.of(starts[inner]! * strides[inner]!);
  // From the inside out: each outer dimension repeats the runs found so far at each of its positions.
  for (let k = inner - 1; k >= 0; k--) begins = repeat(begins, starts[k]!, stops[k]!, strides[k]!);
  return { begins, length: (stops[inner]! - starts[inner]!) * strides[inner]! };
}

function repeat(begins: Float64Array, start: number, stop: number, stride: number): Float64Array<ArrayBuffer> {
  const repeated = new Float64Array(begins.length * (stop - start));
  for (let i = start, at = 0; i < stop; i++) {
    for (const begin of begins) repeated[at++] = i * stride + begin;
  }
  return repeated;
}

function wholeBytes(bits: number, header: PlannedHeader, tensor: number): number {
  if (bits % 8 === 0) return bits / 8;
  const name = header.names[tensor]!;
  throw new CryptoTensorsError(
    'MisalignedSlice',
    `the slice of ${quote(name)} cuts a byte in two: its ${header.dtype(tensor)} elements have ${dtypeBits(header.dtype(tensor))} bits; choose bounds on whole bytes`,
    { tensor: name, expected: 'a multiple of 8 bits', found: `${bits} bits` },
  );
}
