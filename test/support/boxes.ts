import type { TensorBox } from '#dist/format/box.js';
import type { Random } from './random.js';

/** A box of a tensor of `length` bytes, in up to three levels, dense or sparse. */
export function randomBox(random: Random, tensor: number, length: number): TensorBox {
  const box = {
    tensor,
    start: random.integer(0, length - 1),
    length: 1,
    counts: [] as number[],
    strides: [] as number[],
  };
  const room = length - box.start;
  box.length = random.integer(1, Math.min(room, random.integer(1, 40)));
  let span = box.length;
  let runs = 1;
  for (let level = random.integer(0, 3); level > 0; level--) {
    const stride = span + (random.integer(0, 1) === 0 ? random.integer(0, 30) : random.integer(0, room));
    const most = Math.floor((room - span) / stride) + 1;
    const count = random.integer(1, Math.min(most, Math.ceil(20_000 / runs)));
    runs *= count;
    box.counts.unshift(count);
    box.strides.unshift(stride);
    span += (count - 1) * stride;
  }
  return box;
}

/** Where the runs of a box begin, one by one. */
export function listRuns({ start, counts, strides }: TensorBox): number[] {
  let starts = [start];
  for (const [level, count] of counts.entries()) {
    starts = starts.flatMap((at) => Array.from({ length: count }, (_, i) => at + i * strides[level]!));
  }
  return starts;
}

/** What a box takes of a tensor's bytes. */
export function bytesOfBox(box: TensorBox, bytes: Uint8Array): Uint8Array {
  return Buffer.concat(listRuns(box).map((start) => bytes.subarray(start, start + box.length)));
}
