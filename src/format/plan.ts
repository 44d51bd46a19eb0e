/** Which bytes of which tensors go where: the copies that an engine carries out, as plain data. */
import { CryptoTensorsError, quote } from '../errors.js';
import { ITEMS_PER_BREATH, breathe } from '../twin.js';
import type { Twin } from '../twin.js';
import { BoxRuns, isBox } from './box.js';
import type { TensorBox } from './box.js';
import { dtypeBits } from './dtype.js';
import type { Header } from './header.js';
import type { NormalizedSlice } from './slice.js';
import { COPY_STRIDE } from './vocabulary.js';

/** Numbers per copy; the layout is the engine's (`ReadRequest.copies`). */
/** A box of more runs than this is left to the engine to expand, as it goes. */
const MAX_LISTED_RUNS = 1024;

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
  /** A box where listing its runs would take long. */
  copies: Copies | TensorBox;
  byteLength: number;
  shape: number[];
}

/**
 * Plans whole tensors, in data order, each at a multiple of `alignment`. Neighbours in the file stay neighbours, without a gap
 * unless the alignment needs one.
 *
 * @param indices in any order; a tensor that comes twice is read once
 */
export function* planTensors(header: PlannedHeader, indices: readonly number[], alignment = 64): Twin<TensorsPlan> {
  // As whoever reads all of a file asks for them.
  const isSorted = indices.every((tensor, k) => k === 0 || indices[k - 1]! < tensor);
  const sorted = isSorted ? indices : [...new Set(indices)].sort((a, b) => a - b);
  const copies = new Float64Array(sorted.length * COPY_STRIDE);
  const places: number[] = [];
  let end = 0;
  for (let k = 0; k < sorted.length; k++) {
    if (k % ITEMS_PER_BREATH === 0) yield* breathe();
    const tensor = sorted[k]!;
    const length = header.end[tensor]! - header.begin[tensor]!;
    const offset = Math.ceil(end / alignment) * alignment;
    const row = k * COPY_STRIDE;
    copies[row] = tensor;
    copies[row + 2] = length;
    copies[row + 3] = offset;
    places.push(offset);
    end = offset + length;
  }
  if (isSorted) return { copies, offsets: places, byteLength: end };
  const placed = new Map(sorted.map((tensor, k) => [tensor, places[k]!]));
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

  const box = findBox(header, tensor, slice);
  const runs = new BoxRuns(box);
  return { copies: runs.count > MAX_LISTED_RUNS ? box : listRuns(runs), byteLength: runs.byteLength, shape };
}

/** The runs of a box as copies. */
function listRuns(runs: BoxRuns): Copies {
  const { tensor, length } = runs.box;
  const copies = new Float64Array(runs.count * COPY_STRIDE);
  for (let run = 0; run < runs.count; run++) {
    const row = run * COPY_STRIDE;
    copies[row] = tensor;
    copies[row + 1] = runs.startOf(run);
    copies[row + 2] = length;
    copies[row + 3] = run * length;
  }
  return copies;
}

/** Bytes that copies bring to their destination. */
export function copiedBytes(copies: Copies | TensorBox): number {
  if (isBox(copies)) return new BoxRuns(copies).byteLength;
  let bytes = 0;
  for (let row = 0; row < copies.length; row += COPY_STRIDE) bytes += copies[row + 2]!;
  return bytes;
}

/** The tensors that copies are of, in data order. */
export function copiedTensors(copies: Copies | TensorBox): number[] {
  if (isBox(copies)) return [copies.tensor];
  const tensors: number[] = [];
  for (let row = 0; row < copies.length; row += COPY_STRIDE) {
    // Rows are sorted by tensor.
    if (row === 0 || copies[row] !== copies[row - COPY_STRIDE]) tensors.push(copies[row]!);
  }
  return tensors;
}

/**
 * A box that is not empty, as runs of neighbouring elements. All runs are as long as each other: from the last dimension that is
 * not taken whole, inwards. Dimensions of which one element is taken, and those that continue each other, make no level.
 */
function findBox(header: PlannedHeader, tensor: number, { starts, stops }: NormalizedSlice): TensorBox {
  const shape = header.shape(tensor);
  const bits = dtypeBits(header.dtype(tensor));
  let inner = shape.length - 1;
  let stride = 1;
  while (inner > 0 && starts[inner] === 0 && stops[inner] === shape[inner]) stride *= shape[inner--]!;
  if (inner < 0) return { tensor, start: 0, length: wholeBytes(bits, header, tensor), counts: [], strides: [] };

  let start = starts[inner]! * stride;
  const length = wholeBytes((stops[inner]! - starts[inner]!) * stride * bits, header, tensor);
  const counts: number[] = [];
  const strides: number[] = [];
  for (let k = inner - 1; k >= 0; k--) {
    stride *= shape[k + 1]!;
    start += starts[k]! * stride;
    const count = stops[k]! - starts[k]!;
    if (count === 1) continue;
    const bytes = wholeBytes(stride * bits, header, tensor);
    if (counts.length > 0 && bytes === counts[0]! * strides[0]!) {
      counts[0]! *= count;
    } else {
      counts.unshift(count);
      strides.unshift(bytes);
    }
  }
  return { tensor, start: wholeBytes(start * bits, header, tensor), length, counts, strides };
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
