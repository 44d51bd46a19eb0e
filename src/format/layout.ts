/** Where a writer puts tensors (FORMAT.md §1). */
import { CryptoTensorsError, quote } from '../errors.js';
import { dtypeRank, type Dtype } from './dtype.js';
import { describeShape, tensorBytes } from './tensor-size.js';
import { comparatorFor } from './utf8-order.js';

/** A tensor to place. */
export interface UnplacedTensor {
  name: string;
  dtype: Dtype;
  shape: readonly (number | bigint)[];
  bytes: Uint8Array;
}

/** Offsets in the data section. */
export interface Placement {
  begin: number;
  end: number;
}

/**
 * Places tensors one after another in the writer's order: by dtype, the widest first, then by name in UTF-8 byte order.
 *
 * @throws {CryptoTensorsError} `InvalidOption` for a name that a file cannot hold or that comes twice; `ValidationOverflow`;
 * `MisalignedSlice` for sub-byte elements that do not fill whole bytes; `TensorInvalidInfo` where `bytes` is not as long as shape
 * and dtype say
 */
export function layOut<Tensor extends UnplacedTensor>(tensors: readonly Tensor[]): (Tensor & Placement)[] {
  const names = new Set<string>();
  for (const tensor of tensors) {
    checkName(tensor.name, names);
    checkLength(tensor);
  }
  const compareNames = comparatorFor(tensors);
  const inOrder = [...tensors].sort((a, b) => dtypeRank(b.dtype) - dtypeRank(a.dtype) || compareNames(a.name, b.name));
  let end = 0;
  return inOrder.map((tensor) => {
    const begin = end;
    end += tensor.bytes.byteLength;
    return { ...tensor, begin, end };
  });
}

function checkName(name: string, names: Set<string>): void {
  if (name === '__metadata__') throw invalidName(name, 'is what the header calls its metadata');
  if (/\p{Surrogate}/u.test(name)) throw invalidName(name, 'holds half of a surrogate pair, which UTF-8 cannot');
  if (names.has(name)) throw invalidName(name, 'is given twice');
  names.add(name);
}

function checkLength({ name, dtype, shape, bytes }: UnplacedTensor): void {
  const expected = tensorBytes(name, dtype, shape);
  if (bytes.byteLength === expected) return;
  throw new CryptoTensorsError(
    'TensorInvalidInfo',
    `the tensor ${quote(name)} must have ${expected} bytes (${describeShape(shape)} of ${dtype}), but has ${bytes.byteLength}`,
    { tensor: name, expected: `${expected} bytes`, found: `${bytes.byteLength} bytes` },
  );
}

function invalidName(tensor: string, problem: string): CryptoTensorsError {
  return new CryptoTensorsError('InvalidOption', `the tensor name ${quote(tensor)} ${problem}; choose another`, {
    tensor,
  });
}
