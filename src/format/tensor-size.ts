/** Sizes of tensors by checked 64-bit arithmetic (FORMAT.md §1). */
import { CryptoTensorsError, quote } from '../errors.js';
import { dtypeBits, type Dtype } from './dtype.js';
import { MAX_UINT64 } from './json-scanner.js';

/** Dimensions that a message shows. */
const MAX_SHOWN = 8;

/**
 * Bytes of a tensor: the product of its dimensions, from left to right, times the width of an element.
 *
 * @returns a bigint where it is no safe integer
 * @throws {CryptoTensorsError} `ValidationOverflow` if a partial product is 2^64 or more, even if a zero follows;
 * `MisalignedSlice` if it is not whole bytes
 */
export function tensorBytes(name: string, dtype: Dtype, shape: readonly (number | bigint)[]): number | bigint {
  return bytesOfElements(name, dtype, product(shape), () => shape);
}

/**
 * The same where the product of the dimensions is known.
 *
 * @param elements -1 where a partial product is no safe integer
 * @param shape asked for only where that does not suffice
 */
export function bytesOfElements(
  name: string,
  dtype: Dtype,
  elements: number,
  shape: () => readonly (number | bigint)[],
): number | bigint {
  const bits = elements * dtypeBits(dtype);
  if (bits >= 0 && bits <= Number.MAX_SAFE_INTEGER && bits % 8 === 0) return bits / 8;
  return exactBytes(name, dtype, shape());
}

/** A number where it is a safe integer. Then two such values are equal exactly if they are `===`. */
export function toUint(value: bigint): number | bigint {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** The product of the dimensions, or -1 where a partial one is no safe integer. */
function product(shape: readonly (number | bigint)[]): number {
  let elements = 1;
  for (const dimension of shape) {
    if (typeof dimension === 'bigint') return -1;
    elements *= dimension;
    if (elements > Number.MAX_SAFE_INTEGER) return -1;
  }
  return elements;
}

function exactBytes(name: string, dtype: Dtype, shape: readonly (number | bigint)[]): number | bigint {
  const width = dtypeBits(dtype);
  const found = `${describeShape(shape)} of ${dtype}, ${width} bits each`;
  let count = 1n;
  for (const dimension of shape) {
    count *= BigInt(dimension);
    if (count > MAX_UINT64) break;
  }
  const bits = count * BigInt(width);
  if (bits > MAX_UINT64) {
    throw new CryptoTensorsError(
      'ValidationOverflow',
      `the size of the tensor ${quote(name)} overflows 64 bits: ${found}`,
      {
        tensor: name,
        expected: 'less than 2^64 bits',
        found,
      },
    );
  }
  if (bits % 8n !== 0n) {
    throw new CryptoTensorsError(
      'MisalignedSlice',
      `the tensor ${quote(name)} must fill whole bytes, but has ${bits} bits: ${found}`,
      { tensor: name, expected: 'a multiple of 8 bits', found: `${bits} bits` },
    );
  }
  return toUint(bits / 8n);
}

/** A shape for messages. A file may claim millions of dimensions. */
export function describeShape(shape: readonly (number | bigint)[]): string {
  const rest = shape.length > MAX_SHOWN ? `,… ${shape.length - MAX_SHOWN} more` : '';
  return `[${shape.slice(0, MAX_SHOWN).join(',')}${rest}]`;
}
