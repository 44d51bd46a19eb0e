import type { SafeFile, SliceIndex, Tensor } from 'cryptotensors';
import { expect } from 'vitest';
import { Random } from '../support/random.js';

/** Slices of so many tensors per file, so many of each. */
const TENSORS = 24;
const SLICES = 4;

/** Random slices, read through the chunks that they touch, hold what the whole tensor holds at those places. */
export async function expectSlicesOfWhole(file: SafeFile, whole: ReadonlyMap<string, Tensor>): Promise<void> {
  const random = new Random(20_240_601);
  const sliceable = [...whole.values()].filter(({ shape, byteLength }) => shape.length > 0 && byteLength > 0);
  for (const tensor of sliceable.slice(0, TENSORS)) {
    const slice = file.getSlice(tensor.name);
    for (let i = 0; i < SLICES; i++) {
      const ranges = randomRanges(tensor, random);
      const { shape, bytes } = cut(tensor, ranges);
      const read = i % 2 === 0 ? await slice.read(...ranges) : slice.readSync(...ranges);
      const where = `${tensor.name} [${JSON.stringify(ranges)}]`;
      expect(read.shape, where).toEqual(shape);
      expect(Buffer.compare(read.bytes, bytes), where).toBe(0);
    }
  }
}

/** Bits of one element. */
function bitsOf({ shape, byteLength }: Tensor): number {
  return (byteLength * 8) / shape.reduce((product, n) => product * n, 1);
}

/** Up to one entry per dimension. A sub-byte dtype is cut where bytes end: along the first dimension, in whole multiples. */
function randomRanges(tensor: Tensor, random: Random): SliceIndex[] {
  const { shape, byteLength } = tensor;
  if (bitsOf(tensor) % 8 !== 0) {
    const rowBits = (byteLength * 8) / shape[0]!;
    const step = [1, 2, 4, 8].find((rows) => (rows * rowBits) % 8 === 0)!;
    const start = random.integer(0, Math.floor(shape[0]! / step)) * step;
    return [[start, random.integer(start / step, Math.floor(shape[0]! / step)) * step]];
  }
  return shape.slice(0, random.integer(1, shape.length)).map((length) => {
    const start = random.integer(0, length);
    const stop = random.integer(start, length);
    switch (random.integer(0, 4)) {
      case 0:
        return null;
      case 1:
        return Math.min(start, length - 1);
      case 2:
        return -random.integer(1, length);
      case 3:
        return [start - length, stop];
      default:
        return [start, stop];
    }
  });
}

/** The naive indexer: element by element out of the whole tensor. */
function cut(tensor: Tensor, ranges: readonly SliceIndex[]): { shape: number[]; bytes: Uint8Array } {
  const { shape, bytes } = tensor;
  const bits = bitsOf(tensor);
  const kept: number[] = [];
  const picks = shape.map((length, dimension) => {
    const range = ranges[dimension] ?? null;
    if (typeof range === 'number') return [range < 0 ? range + length : range];
    const [start, stop] = (range ?? [0, length]).map((bound) => (bound < 0 ? bound + length : bound)) as [
      number,
      number,
    ];
    kept.push(stop - start);
    return Array.from({ length: stop - start }, (_, i) => start + i);
  });
  if (bits % 8 !== 0) {
    const rowBits = (bytes.length * 8) / shape[0]!;
    const rows = picks[0]!;
    const from = ((rows[0] ?? 0) * rowBits) / 8;
    return { shape: kept, bytes: bytes.slice(from, from + (rows.length * rowBits) / 8) };
  }
  let offsets = [0];
  for (const [dimension, indexes] of picks.entries()) {
    offsets = offsets.flatMap((offset) => indexes.map((index) => offset * shape[dimension]! + index));
  }
  const width = bits / 8;
  const out = new Uint8Array(offsets.length * width);
  for (const [i, offset] of offsets.entries()) out.set(bytes.subarray(offset * width, (offset + 1) * width), i * width);
  return { shape: kept, bytes: out };
}
