/**
 * The element types of the format (FORMAT.md §1) and their widths in bits, in ascending alignment order: the order that
 * the writer sorts by, last first.
 */
const BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** Name of an element type, as it stands in a header. */
export type Dtype = keyof typeof BITS;

/** All element types in ascending alignment order. */
export const DTYPES: readonly Dtype[] = Object.keys(BITS) as Dtype[];

// A Map, because names come from files: `constructor` and `__proto__` are not dtypes.
const RANKS: ReadonlyMap<string, number> = new Map(DTYPES.map((dtype, rank) => [dtype, rank]));

/** Width of one element in bits: 4, 6, 8, 16, 32 or 64. */
export function dtypeBits(dtype: Dtype): number {
  return BITS[dtype];
}

/** Position of a dtype in the alignment order, from 0 for `BOOL`; -1 for a name that is no dtype. */
export function dtypeRank(name: string): number {
  return RANKS.get(name) ?? -1;
}

export function isDtype(name: string): name is Dtype {
  return RANKS.has(name);
}
