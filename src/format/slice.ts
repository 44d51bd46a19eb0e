/** Parts of a tensor, as the caller names them. */
import { CryptoTensorsError, argumentError } from '../errors.js';

/**
 * What to take of one dimension: an index (the dimension is dropped, as in NumPy), a range `[start, stop)`, or `null` for all of
 * it. Negative numbers count from the end.
 */
export type SliceIndex = number | readonly [start: number, stop: number] | null;

/** A box in a tensor: `starts[k] <= i < stops[k]` in each dimension of the tensor. */
export interface NormalizedSlice {
  starts: number[];
  stops: number[];
  /** Shape of the result: without the dimensions that an index picked. */
  shape: number[];
}

/**
 * Turns what the caller names into bounds for every dimension. Dimensions that are left out are taken whole.
 *
 * @throws {TypeError} for what is neither an integer, a pair of integers nor null
 * @throws {CryptoTensorsError} `TooManySlices`, `SliceOutOfRange` (out of bounds, or a start after its stop)
 */
export function normalizeSlice(shape: readonly number[], ranges: readonly SliceIndex[]): NormalizedSlice {
  if (ranges.length > shape.length) {
    throw new CryptoTensorsError(
      'TooManySlices',
      `${ranges.length} ranges are given, but the tensor has ${shape.length} dimensions: shape [${shape.join(',')}]`,
      { expected: `at most ${shape.length} ranges`, found: `${ranges.length} ranges` },
    );
  }
  const result: NormalizedSlice = { starts: [], stops: [], shape: [] };
  for (let k = 0; k < shape.length; k++) {
    const [start, stop] = bounds(k < ranges.length ? ranges[k] : null, shape[k]!, k);
    result.starts.push(start);
    result.stops.push(stop);
    if (typeof ranges[k] !== 'number') result.shape.push(stop - start);
  }
  return result;
}

function bounds(range: unknown, size: number, dimension: number): [start: number, stop: number] {
  if (range === null) return [0, size];
  if (typeof range === 'number') {
    const index = fromEnd(range, size, dimension);
    if (index < 0 || index >= size) throw outOfRange(String(range), size, dimension);
    return [index, index + 1];
  }
  if (!Array.isArray(range) || range.length !== 2) {
    throw argumentError(`range ${dimension}`, 'an integer, [start, stop] or null', range);
  }
  const [start, stop] = (range as unknown[]).map((bound) => fromEnd(bound, size, dimension)) as [number, number];
  if (start < 0 || start > stop || stop > size) throw outOfRange(`[${range.join(',')}]`, size, dimension);
  return [start, stop];
}

function fromEnd(value: unknown, size: number, dimension: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw argumentError(`a bound of range ${dimension}`, 'an integer', value);
  }
  // Adding 0 turns -0 into 0.
  return value < 0 ? value + size : value + 0;
}

function outOfRange(found: string, size: number, dimension: number): CryptoTensorsError {
  return new CryptoTensorsError(
    'SliceOutOfRange',
    `the range ${found} does not fit dimension ${dimension}, which has ${size} elements`,
    { expected: `within ${size} elements`, found },
  );
}
