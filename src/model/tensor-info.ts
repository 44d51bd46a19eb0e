import type { Dtype } from '../format/dtype.js';
import type { Check } from './model.js';
import type { TensorRef } from './tensor-index.js';

/** What the header says of one tensor. */
export interface TensorInfo {
  name: string;
  dtype: Dtype;
  /** One entry per dimension. A dimension above 2^53 (possible in an empty tensor only) is rounded here. */
  shape: number[];
  /** The same without rounding, in digits. */
  exactShape: string[];
  /** `[begin, end)` in the data section of its file, in bytes. */
  dataOffsets: [begin: number, end: number];
  byteLength: number;
  encrypted: boolean;
  /** What protects its bytes: an AEAD tag, a signed digest (`__integrity__`), or nothing. */
  check: Check;
}

/** Reads nothing but the header. */
export function tensorInfo({ model, index }: TensorRef): TensorInfo {
  const { header } = model;
  const begin = header.begin[index]!;
  const end = header.end[index]!;
  const check = model.checks[index]!;
  return {
    name: header.names[index]!,
    dtype: header.dtype(index),
    shape: header.shape(index),
    exactShape: header.exactShape(index).map(String),
    dataOffsets: [begin, end],
    byteLength: end - begin,
    encrypted: check === 'tag',
    check,
  };
}
