import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '#dist/errors.js';
import { DTYPES, dtypeBits, dtypeRank, type Dtype } from '#dist/format/dtype.js';
import { layOut } from '#dist/format/layout.js';
import { elements, trickyString } from './headers.js';
import { refusalSync } from '../support/errors.js';

const tensor = (name: string, dtype: Dtype, shape: (number | bigint)[], byteLength: number) => ({
  name,
  dtype,
  shape,
  bytes: new Uint8Array(byteLength),
});

describe('the layout of a new file', () => {
  it('is by dtype, the widest first, then by name in UTF-8 order', () => {
    const placed = layOut([
      tensor('\u{1f600}', 'U8', [1], 1),
      tensor('b', 'BOOL', [1], 1),
      tensor('\uffff', 'U8', [0], 0),
      tensor('a', 'F32', [2], 8),
      tensor('z', 'U64', [], 8),
      tensor('Z', 'F64', [1], 8),
      tensor('f4', 'F4', [2], 1),
    ]);
    expect(placed.map(({ name, begin, end }) => [name, begin, end])).toEqual([
      ['z', 0, 8],
      ['Z', 8, 16],
      ['a', 16, 24],
      ['\uffff', 24, 24],
      ['\u{1f600}', 24, 25],
      ['f4', 25, 26],
      ['b', 26, 27],
    ]);
  });

  it('is sorted and without holes, whatever the tensors', () => {
    const tensors = fc.uniqueArray(
      fc.record({
        name: trickyString,
        dtype: fc.constantFrom(...DTYPES),
        shape: fc.array(fc.nat(4), { maxLength: 3 }),
      }),
      { selector: ({ name }) => name },
    );
    fc.assert(
      fc.property(tensors, (list) => {
        const whole = list.filter(({ dtype, shape }) => (elements(shape) * dtypeBits(dtype)) % 8 === 0);
        const given = whole.map(({ name, dtype, shape }) =>
          tensor(name, dtype, shape, (elements(shape) * dtypeBits(dtype)) / 8),
        );
        const placed = layOut(given);
        expect(new Set(placed.map(({ name }) => name))).toEqual(new Set(given.map(({ name }) => name)));
        placed.forEach((current, i) => {
          const before = placed[i - 1];
          expect(current.begin).toBe(before?.end ?? 0);
          expect(current.end - current.begin).toBe(current.bytes.length);
          if (before === undefined) return;
          const ranks = dtypeRank(before.dtype) - dtypeRank(current.dtype);
          expect(ranks).toBeGreaterThanOrEqual(0);
          if (ranks === 0) expect(Buffer.compare(Buffer.from(before.name), Buffer.from(current.name))).toBe(-1);
        });
      }),
    );
  });

  it.each<[ErrorCode, string, ReturnType<typeof tensor>[]]>([
    ['InvalidOption', 'the name of the metadata', [tensor('__metadata__', 'U8', [0], 0)]],
    ['InvalidOption', 'half of a surrogate pair', [tensor('a\ud83d', 'U8', [0], 0)]],
    ['InvalidOption', 'a name twice', [tensor('a', 'U8', [0], 0), tensor('a', 'F32', [0], 0)]],
    ['MisalignedSlice', 'half a byte', [tensor('a', 'F4', [], 1)]],
    ['MisalignedSlice', 'three quarters of a byte', [tensor('a', 'F6_E2M3', [5], 4)]],
    ['TensorInvalidInfo', 'a byte too few', [tensor('a', 'I16', [2], 3)]],
    ['TensorInvalidInfo', 'a byte too many', [tensor('a', 'U8', [0], 1)]],
    ['ValidationOverflow', 'a product of 2^64', [tensor('a', 'U8', [2n ** 63n, 2, 0], 0)]],
  ])('is refused with %s for %s', (code, _, tensors) => {
    expect(refusalSync(code, () => layOut(tensors)).tensor).toBe(tensors.at(-1)!.name);
  });
});
