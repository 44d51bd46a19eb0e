import { describe, expect, it } from 'vitest';
import { DTYPES, dtypeBits, dtypeRank, isDtype } from '#dist/format/dtype.js';

/** As FORMAT.md §1 lists them. */
const LISTED =
  'BOOL 8, F4 4, F6_E2M3 6, F6_E3M2 6, U8 8, I8 8, F8_E5M2 8, F8_E4M3 8, F8_E8M0 8, F8_E4M3FNUZ 8, F8_E5M2FNUZ 8, I16 16, ' +
  'U16 16, F16 16, BF16 16, I32 32, U32 32, F32 32, C64 64, F64 64, I64 64, U64 64';

describe('dtypes', () => {
  it('are the 22 of the format, in alignment order', () => {
    expect(DTYPES.map((dtype) => `${dtype} ${dtypeBits(dtype)}`).join(', ')).toBe(LISTED);
    expect(DTYPES.map(dtypeRank)).toEqual(DTYPES.map((_, i) => i));
    expect(DTYPES.every(isDtype)).toBe(true);
  });

  it.each(['', 'f32', 'F32 ', 'float32', 'F12', 'constructor', '__proto__', 'toString'])(
    'do not include %j',
    (name) => {
      expect(isDtype(name)).toBe(false);
      expect(dtypeRank(name)).toBe(-1);
    },
  );
});
