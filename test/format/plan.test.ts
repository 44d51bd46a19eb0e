import fc from 'fast-check';
import { runSync } from '#dist/twin.js';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '#dist/errors.js';
import { DTYPES, dtypeBits, type Dtype } from '#dist/format/dtype.js';
import { copiedBytes, copiedTensors, planSlice, planTensors, type Copies } from '#dist/format/plan.js';
import { normalizeSlice, type SliceIndex } from '#dist/format/slice.js';
import { elements, parseText } from './headers.js';
import { refusalSync } from '../support/errors.js';

/** A header of tensors that follow one another. */
function headerOf(...tensors: [dtype: Dtype, shape: readonly number[]][]) {
  let end = 0;
  const entries = tensors.map(([dtype, shape], i) => {
    const begin = end;
    end += (elements(shape) * dtypeBits(dtype)) / 8;
    return `"t${i}":{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${begin},${end}]}`;
  });
  return parseText(`{${entries.join(',')}}`, end);
}

const rows = (copies: Copies): number[][] =>
  Array.from({ length: copies.length / 4 }, (_, row) => [...copies.subarray(row * 4, row * 4 + 4)]);

describe('a slice', () => {
  it.each<[number[], SliceIndex[], number[], number[], number[]]>([
    [[4, 5], [], [0, 0], [4, 5], [4, 5]],
    [[4, 5], [null], [0, 0], [4, 5], [4, 5]],
    [[4, 5], [1], [1, 0], [2, 5], [5]],
    [[4, 5], [-1, -5], [3, 0], [4, 1], []],
    [[4, 5], [[1, 3]], [1, 0], [3, 5], [2, 5]],
    [[4, 5], [[-3, -1], 2], [1, 2], [3, 3], [2]],
    [[4, 5], [[4, 4]], [4, 0], [4, 5], [0, 5]],
    [
      [4, 5],
      [
        [0, 4],
        [-5, 5],
      ],
      [0, 0],
      [4, 5],
      [4, 5],
    ],
    [[4], [-0], [0], [1], []],
    [[0], [[0, 0]], [0], [0], [0]],
    [[], [], [], [], []],
  ])('of %j by %j', (shape, ranges, starts, stops, result) => {
    expect(normalizeSlice(shape, ranges)).toEqual({ starts, stops, shape: result });
  });

  it.each<[ErrorCode, number[], SliceIndex[]]>([
    ['TooManySlices', [4], [0, 0]],
    ['TooManySlices', [], [null]],
    ['SliceOutOfRange', [4], [4]],
    ['SliceOutOfRange', [4], [-5]],
    ['SliceOutOfRange', [0], [0]],
    ['SliceOutOfRange', [4], [[0, 5]]],
    ['SliceOutOfRange', [4], [[-5, 0]]],
    ['SliceOutOfRange', [4], [[3, 2]]],
    ['SliceOutOfRange', [4], [[3, -2]]],
    ['SliceOutOfRange', [4], [[5, 5]]],
  ])('is %s of %j by %j', (code, shape, ranges) => {
    refusalSync(code, () => normalizeSlice(shape, ranges));
  });

  it.each([1.5, NaN, Infinity, 2 ** 53, '1', undefined, true, {}, [], [1], [1, 2, 3], [0.5, 1], [0, null], [0, '1']])(
    'by %j is a TypeError',
    (range) => {
      expect(() => normalizeSlice([4], [range as SliceIndex])).toThrow(TypeError);
    },
  );
});

describe('the plan of a slice', () => {
  it('takes whole runs, and what is whole in one piece', () => {
    const header = headerOf(['F32', [4, 3, 5]]);
    const plan = (...ranges: SliceIndex[]): number[][] =>
      rows(planSlice(header, 0, normalizeSlice([4, 3, 5], ranges)).copies as Copies);
    expect(plan()).toEqual([[0, 0, 240, 0]]);
    expect(plan([1, 3])).toEqual([[0, 60, 120, 0]]);
    expect(plan(2, [1, 3])).toEqual([[0, 140, 40, 0]]);
    expect(plan([1, 3], [1, 3])).toEqual([
      [0, 80, 40, 0],
      [0, 140, 40, 40],
    ]);
    expect(plan([0, 2], 0, 4)).toEqual([
      [0, 16, 4, 0],
      [0, 76, 4, 4],
    ]);
    expect(plan([2, 2])).toEqual([]);
  });

  it('of an empty tensor still asks for its check', () => {
    const header = headerOf(['U8', [1]], ['F32', [0, 3]]);
    expect(planSlice(header, 1, normalizeSlice([0, 3], []))).toEqual({
      copies: Float64Array.of(1, 0, 0, 0),
      byteLength: 0,
      shape: [0, 3],
    });
  });

  const bounds = fc.tuple(
    fc.nat(5),
    fc.nat(5),
    fc.nat(5),
    fc.constantFrom<'index' | 'range' | 'all' | 'from end'>('index', 'range', 'all', 'from end'),
  );

  it('copies the bytes that a naive indexer copies, in runs that cannot be joined', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...DTYPES),
        fc.array(bounds, { maxLength: 4 }),
        fc.nat(4),
        (dtype, dimensions, given) => {
          const shape = dimensions.map(([size]) => size);
          fc.pre((elements(shape) * dtypeBits(dtype)) % 8 === 0);
          const ranges = dimensions.slice(0, given).map(([size, a, b, kind]): SliceIndex => {
            const [start, stop] = [Math.min(a, b, size), Math.min(Math.max(a, b), size)];
            if (kind === 'all' || (kind === 'index' && size === 0)) return null;
            if (kind === 'index') return a % size;
            return kind === 'from end' && stop < size ? [start - size, stop - size] : [start, stop];
          });
          const slice = normalizeSlice(shape, ranges);
          const { bits, isAligned } = naiveBits(shape, slice.starts, slice.stops, dtypeBits(dtype));
          const header = headerOf(['U8', [3]], [dtype, shape]);
          const index = 1;
          if (!isAligned) {
            refusalSync('MisalignedSlice', () => planSlice(header, index, slice));
            return;
          }
          const plan = planSlice(header, index, slice);
          expect(plan.shape).toEqual(slice.shape);
          expect(plan.byteLength).toBe(bits.length / 8);
          const copied: number[] = [];
          let end = -1;
          for (const [tensor, start, length, offset] of rows(plan.copies as Copies) as [
            number,
            number,
            number,
            number,
          ][]) {
            expect(tensor).toBe(index);
            expect(offset).toBe(copied.length / 8);
            expect(start, 'runs are joined').toBeGreaterThan(end);
            end = start + length;
            for (let bit = start * 8; bit < end * 8; bit++) copied.push(bit);
          }
          expect(copied).toEqual(bits);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

/** Every bit of a box, element by element, and whether each longest run of them begins and ends on a byte. */
function naiveBits(
  shape: number[],
  starts: number[],
  stops: number[],
  width: number,
): { bits: number[]; isAligned: boolean } {
  let indices: number[] = [0];
  shape.forEach((size, k) => {
    const range = Array.from({ length: stops[k]! - starts[k]! }, (_, i) => starts[k]! + i);
    indices = indices.flatMap((index) => range.map((i) => index * size + i));
  });
  const bits = indices.flatMap((index) => Array.from({ length: width }, (_, bit) => index * width + bit));
  const isAligned = bits.every(
    (bit, i) => bit === bits[i - 1]! + 1 || (bit % 8 === 0 && (i === 0 || (bits[i - 1]! + 1) % 8 === 0)),
  );
  return { bits, isAligned: isAligned && (bits.length === 0 || (bits.at(-1)! + 1) % 8 === 0) };
}

describe('the plan of whole tensors', () => {
  it('places them in data order, aligned, without gaps that the alignment does not need', () => {
    const header = headerOf(['F32', [16]], ['U8', [65]], ['F32', [0]], ['U8', [1]]);
    const plan = runSync(planTensors(header, [3, 0, 2, 1, 0]));
    expect(rows(plan.copies)).toEqual([
      [0, 0, 64, 0],
      [1, 0, 65, 64],
      [2, 0, 0, 192],
      [3, 0, 1, 192],
    ]);
    expect(plan.offsets).toEqual([192, 0, 192, 64, 0]);
    expect(plan.byteLength).toBe(193);
    expect(runSync(planTensors(header, [1, 3], 8))).toMatchObject({ offsets: [0, 72], byteLength: 73 });
    expect(runSync(planTensors(header, []))).toEqual({ copies: new Float64Array(0), offsets: [], byteLength: 0 });
  });
});

it('what copies amount to is told of rows and of boxes alike', () => {
  const rows = Float64Array.of(0, 0, 10, 0, 0, 20, 5, 10, 2, 0, 0, 15);
  expect(copiedBytes(rows)).toBe(15);
  expect(copiedTensors(rows)).toEqual([0, 2]);
  const box = { tensor: 3, start: 0, length: 2, counts: [4, 5], strides: [100, 10] };
  expect(copiedBytes(box)).toBe(40);
  expect(copiedTensors(box)).toEqual([3]);
});
