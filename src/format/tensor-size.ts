/** Sizes of tensors by checked 64-bit arithmetic (FORMAT.md §1). */
import { CryptoTensorsError, quote } from '../errors.js';
import { dtypeBits, type Dtype } from './dtype.js';
import { MAX_UINT64 } from './json-scanner.js';

/**
 * Bytes of a tensor: the product of its dimensions, from left to right, times the width of an element.
 *
 * @param shape exact: a bigint where a dimension is no safe integer
 * @returns a bigint where it is no safe integer
 * @throws {CryptoTensorsError} `ValidationOverflow` if a partial product is 2^64 or more, even if a zero follows;
 * `MisalignedSlice` if it is not whole bytes
 */
export function tensorBytes(name: string, dtype: Dtype, shape: readonly (number | bigint)[]): number | bigint {
  const width = dtypeBits(dtype);
  const bits = safeBits(shape, width) ?? exactBits(name, shape, width);
  const isWhole = typeof bits === 'bigint' ? bits % 8n === 0n : bits % 8 === 0;
  if (!isWhole) {
    throw new CryptoTensorsError(
      'MisalignedSlice',
      `the tensor ${quote(name)} has ${bits.toString()} bits (${dtype} of shape [${shape.join(',')}]), but must have whole bytes`,
      { tensor: name, expected: 'a multiple of 8 bits', found: `${bits.toString()} bits` },
    );
  }
  return typeof bits === 'bigint' ? toUint(bits / 8n) : bits / 8;
}

/** A number where it is a safe integer. Then two such values are equal exactly if they are `===`. */
export function toUint(value: bigint): number | bigint {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** Null where a partial product leaves the safe integers. */
function safeBits(shape: readonly (number | bigint)[], width: number): number | null {
  let count = 1;
  for (const dimension of shape) {
    count = typeof dimension === 'number' ? count * dimension : Infinity;
    if (!(count * width <= Number.MAX_SAFE_INTEGER)) return null;
  }
  return count * width;
}

function exactBits(name: string, shape: readonly (number | bigint)[], width: number): bigint {
  let count = 1n;
  let overflows = false;
  for (const dimension of shape) {
    count *= BigInt(dimension);
    overflows ||= count > MAX_UINT64;
  }
  const bits = count * BigInt(width);
  if (overflows || bits > MAX_UINT64) {
    throw new CryptoTensorsError(
      'ValidationOverflow',
      `the size of the tensor ${quote(name)} overflows 64 bits: ${width}-bit elements of shape [${shape.join(',')}]`,
      { tensor: name, expected: 'less than 2^64 bits', found: `shape [${shape.join(',')}]` },
    );
  }
  return bits;
}
