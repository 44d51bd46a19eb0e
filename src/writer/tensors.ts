import { isMap, isTypedArray } from 'node:util/types';
import { CryptoTensorsError, argumentError, quoteInput } from '../errors.js';
import { bytesOf, isDetached, isMemory } from '../engine/memory.js';
import { detachedError } from '../engine/own.js';
import { isDtype } from '../format/dtype.js';
import type { Dtype } from '../format/dtype.js';
import { isPlainObject, memberOf } from '../options.js';

/** A kind of typed array, and the dtypes that it may be given for. */
interface Kind {
  /** Null: bytes, which may be of any. */
  dtypes: readonly Dtype[] | null;
  /** What it is where no dtype is given. */
  inferred: Dtype | undefined;
}

/** By name: `Float16Array` is not there in every runtime. */
const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['Int8Array', { dtypes: ['I8'], inferred: 'I8' }],
  ['Uint8Array', { dtypes: null, inferred: 'U8' }],
  ['Uint8ClampedArray', { dtypes: ['U8'], inferred: 'U8' }],
  ['Int16Array', { dtypes: ['I16'], inferred: 'I16' }],
  // The codes of those that JavaScript has no array for.
  ['Uint16Array', { dtypes: ['U16', 'F16', 'BF16'], inferred: 'U16' }],
  ['Float16Array', { dtypes: ['F16'], inferred: 'F16' }],
  ['Int32Array', { dtypes: ['I32'], inferred: 'I32' }],
  ['Uint32Array', { dtypes: ['U32'], inferred: 'U32' }],
  // Of complex numbers real and imaginary parts in turn.
  ['Float32Array', { dtypes: ['F32', 'C64'], inferred: 'F32' }],
  ['Float64Array', { dtypes: ['F64'], inferred: 'F64' }],
  ['BigInt64Array', { dtypes: ['I64'], inferred: 'I64' }],
  ['BigUint64Array', { dtypes: ['U64'], inferred: 'U64' }],
]);

const KIND_OF = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype) as object,
  Symbol.toStringTag,
)!;

/** What a typed array is, of whatever realm or subclass. */
function kindOf(array: ArrayBufferView): string {
  return KIND_OF.get!.call(array) as string;
}

/** A tensor that is to be written, its data as bytes. */
export interface NamedBytes {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  bytes: Uint8Array;
}

/**
 * The tensors that a caller handed in. Only maps and plain objects are collections of tensors: anything else, such as a promise of
 * one, has no entries of its own and would be written as a valid model without any.
 *
 * @throws TypeError, InvalidOption
 */
export function readTensors(input: unknown): NamedBytes[] {
  const expected = 'a Map or a plain object of tensors by name';
  if (isMap(input)) return [...input].map(([name, tensor]) => readTensor(name, tensor));
  if (!isPlainObject(input)) throw argumentError('tensors', expected, input);
  return Object.entries(input).map(([name, tensor]) => readTensor(name, tensor));
}

function readTensor(name: unknown, tensor: unknown): NamedBytes {
  if (typeof name !== 'string') throw argumentError('a tensor name', 'a string', name);
  const label = `tensors[${quoteInput(name)}]`;
  if (typeof tensor !== 'object' || tensor === null || Array.isArray(tensor)) {
    throw argumentError(label, 'an object with shape and data', tensor);
  }
  // Each read once. Those of a class count, as `Tensor` objects fit too; those of every object do not.
  const [shape, dtype, data] = ['shape', 'dtype', 'data'].map((member) => memberOf(tensor, member));
  checkShape(shape, label, name);
  const { bytes, kind } = dataBytes(data, label, name);
  return { name, shape, bytes, dtype: dtypeOf(dtype, kind, label, name) };
}

function checkShape(shape: unknown, label: string, tensor: string): asserts shape is number[] {
  if (!Array.isArray(shape)) throw argumentError(`${label}.shape`, 'an array of dimensions', shape);
  for (const dimension of shape as unknown[]) {
    if (typeof dimension !== 'number') throw argumentError(`a dimension of ${label}.shape`, 'a number', dimension);
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw new CryptoTensorsError(
        'InvalidOption',
        `${label}.shape: a dimension must be an integer from 0, not ${dimension}`,
        { tensor },
      );
    }
  }
}

/** The bytes of some data, and the kind of typed array that it is; null for what is bytes and no more. */
function dataBytes(data: unknown, label: string, tensor: string): { bytes: Uint8Array; kind: string | null } {
  if (!isMemory(data)) throw argumentError(`${label}.data`, 'a typed array or an ArrayBuffer', data);
  const bytes = isDetached(data) ? null : bytesOf(data);
  if (bytes === null) throw detachedError(`${label}.data`, { tensor });
  return { bytes, kind: isTypedArray(data) ? kindOf(data) : null };
}

function dtypeOf(dtype: unknown, kind: string | null, label: string, tensor: string): Dtype {
  const { dtypes, inferred } = (kind === null ? undefined : KINDS.get(kind)) ?? { dtypes: null, inferred: undefined };
  if (dtype === undefined) {
    if (inferred !== undefined) return inferred;
    throw new CryptoTensorsError(
      'InvalidOption',
      `${label}.dtype must be given: the kind of its data does not say it`,
      { tensor },
    );
  }
  if (typeof dtype !== 'string') throw argumentError(`${label}.dtype`, 'a string', dtype);
  if (!isDtype(dtype)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      `${label}.dtype: ${quoteInput(dtype)} is not a dtype of safetensors`,
      {
        tensor,
      },
    );
  }
  if (dtypes?.includes(dtype) === false) {
    throw new TypeError(
      `${label}.data must be ${dtype}, as its dtype says, but is of kind ${kind}, for ${dtypes.join(' or ')}: its bits would be taken for other numbers. Convert it, or give its bytes as a Uint8Array`,
    );
  }
  return dtype;
}
