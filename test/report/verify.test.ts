import { describe, expect, test } from 'vitest';
import * as fc from 'fast-check';
import { verificationBatches } from '#dist/report/verify.js';

/** A header of tensors of the given lengths. */
function modelOf(tensors: readonly { length: number; chunk: number; checked: boolean }[]) {
  const ends = tensors.map((_, i) => tensors.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0));
  return {
    header: {
      count: tensors.length,
      begin: Float64Array.from(ends, (end, i) => end - tensors[i]!.length),
      end: Float64Array.from(ends),
    },
    checks: tensors.map(({ checked }) => (checked ? 'tag' : 'none')),
    chunkSizes: Float64Array.from(tensors, ({ chunk }) => chunk),
  } as unknown as Parameters<typeof verificationBatches>[0];
}

describe('verificationBatches', () => {
  test('covers every byte that is checked once, cuts at chunks only, and stays within the scratch memory', () => {
    const tensor = fc.record({
      length: fc.integer({ min: 0, max: 300 }),
      chunk: fc.constantFrom(0, 1, 7, 16, 100, 1000),
      checked: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(tensor, { maxLength: 12 }), fc.integer({ min: 1, max: 200 }), (tensors, scratch) => {
        const next = tensors.map(() => 0);
        const seen = new Set<number>();
        for (const { copies, byteLength } of verificationBatches(modelOf(tensors), scratch)) {
          let filled = 0;
          for (let at = 0; at < copies.length; at += 4) {
            const [i, start, length, destination] = copies.subarray(at, at + 4) as unknown as [
              number,
              number,
              number,
              number,
            ];
            const { chunk, length: whole } = tensors[i]!;
            seen.add(i);
            expect(destination).toBe(filled);
            expect(start).toBe(next[i]);
            if (chunk > 0) expect(start % chunk).toBe(0);
            const end = start + length;
            if (end < whole) expect(chunk > 0 && end % chunk === 0).toBe(true);
            next[i] = end;
            filled += length;
          }
          expect(filled).toBe(byteLength);
          // A chunk that does not fit is alone, but for empty tensors, which take no room.
          const filling = copies.filter((value, at) => at % 4 === 2 && value > 0);
          if (byteLength > scratch) expect(filling.length).toBe(1);
        }
        for (const [i, { length, checked }] of tensors.entries()) {
          expect(next[i]).toBe(checked ? length : 0);
          expect(seen.has(i)).toBe(checked);
        }
      }),
    );
  });
});
