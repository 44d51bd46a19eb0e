import { BoxRuns, gatherRuns } from '#dist/format/box.js';
import type { TensorBox } from '#dist/format/box.js';
import { planSlice } from '#dist/format/plan.js';
import { normalizeSlice } from '#dist/format/slice.js';
import { expect, it } from 'vitest';
import { bytesOfBox, listRuns, randomBox } from '../support/boxes.js';
import { Random } from '../support/random.js';

const LENGTH = 3000;
const bytes = Uint8Array.from({ length: LENGTH }, (_, i) => (i * 7 + (i >> 8)) & 255);

function boxes(count: number): TensorBox[] {
  const random = new Random(3);
  return Array.from({ length: count }, () => randomBox(random, 0, LENGTH));
}

it('the runs of a box are found by number and by offset', () => {
  for (const box of boxes(300)) {
    const runs = new BoxRuns(box);
    const starts = listRuns(box);
    expect(runs.isOrdered).toBe(true);
    expect(runs.count).toBe(starts.length);
    expect(runs.byteLength).toBe(starts.length * box.length);
    expect(runs.end).toBe(starts.at(-1)! + box.length);
    for (const [run, start] of starts.entries()) if (runs.startOf(run) !== start) expect.fail(JSON.stringify(box));
    for (let offset = 0; offset <= LENGTH; offset += 1 + (offset % 3)) {
      const first = starts.findIndex((start) => start + box.length > offset);
      if (runs.firstEndingAfter(offset) !== (first < 0 ? starts.length : first)) {
        expect.fail(`${JSON.stringify(box)} behind ${offset}`);
      }
    }
  }
});

it('what is wanted of any piece of a tensor is gathered, and all pieces together are the box', () => {
  const random = new Random(5);
  for (const box of boxes(300)) {
    const runs = new BoxRuns(box);
    const destination = new Uint8Array(runs.byteLength);
    let at = 0;
    while (at < LENGTH) {
      const piece = bytes.subarray(at, at + random.integer(1, 500));
      const { offset, gathered } = gatherRuns(runs, at, piece);
      destination.set(gathered, offset);
      at += piece.length;
    }
    expect(Buffer.compare(destination, bytesOfBox(box, bytes))).toBe(0);
  }
});

it('what is no box is told apart', () => {
  const box = { tensor: 0, start: 0, length: 4, counts: [2], strides: [8] };
  for (const wrong of [
    { strides: [3] },
    { counts: [0] },
    { counts: [2, 2] },
    { length: 0 },
    { start: -1 },
    { start: 0.5 },
    { counts: [2 ** 52] },
  ]) {
    expect(new BoxRuns({ ...box, ...wrong }).isOrdered, JSON.stringify(wrong)).toBe(false);
  }
});

it('a slice of many runs is planned as a box, whatever their number', () => {
  const shape = [50_000_000, 3, 4];
  const header = {
    names: ['t'],
    begin: Float64Array.of(0),
    end: Float64Array.of(2_400_000_000),
    dtype: () => 'F32' as const,
    shape: () => shape,
  };
  const started = performance.now();
  const plan = planSlice(header, 0, normalizeSlice(shape, [null, [0, 2], [1, 2]]));
  expect(performance.now() - started).toBeLessThan(50);
  expect(plan.copies).toEqual({ tensor: 0, start: 4, length: 4, counts: [50_000_000, 2], strides: [48, 16] });
  expect(plan.byteLength).toBe(400_000_000);
  // Levels that continue each other are one.
  const column = planSlice(header, 0, normalizeSlice(shape, [null, null, 0]));
  expect(column.copies).toEqual({ tensor: 0, start: 0, length: 4, counts: [150_000_000], strides: [16] });
});
