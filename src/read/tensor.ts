import { DISPOSE } from '../disposal.js';
import { inspect } from 'node:util';
import { isFloat32Array, isUint16Array, isUint8Array } from 'node:util/types';
import { CryptoTensorsError, quote } from '../errors.js';
import type { Dtype } from '../format/dtype.js';
import { isDetached } from '../engine/memory.js';
import { NOT_CLONEABLE, notCloneable } from '../not-cloneable.js';
import { FLOAT32_CONVERTIBLE, toFloat32 } from './float.js';
import type { TensorMemory } from './tensor-memory.js';
import { MAKER, checkMaker } from '../maker.js';

/** The typed array that fits each dtype. Formats that JavaScript has no array for come as their codes. */
interface DataByDtype {
  BOOL: Uint8Array;
  F4: Uint8Array;
  F6_E2M3: Uint8Array;
  F6_E3M2: Uint8Array;
  U8: Uint8Array;
  I8: Int8Array;
  F8_E5M2: Uint8Array;
  F8_E4M3: Uint8Array;
  F8_E8M0: Uint8Array;
  F8_E4M3FNUZ: Uint8Array;
  F8_E5M2FNUZ: Uint8Array;
  I16: Int16Array;
  U16: Uint16Array;
  F16: Uint16Array;
  BF16: Uint16Array;
  I32: Int32Array;
  U32: Uint32Array;
  F32: Float32Array;
  C64: Float32Array;
  F64: Float64Array;
  I64: BigInt64Array;
  U64: BigUint64Array;
}

/** What `data` is of a tensor of that dtype. */
export type TensorData<D extends Dtype = Dtype> = DataByDtype[D];

type DataConstructor<D extends Dtype> = new (
  buffer: ArrayBufferLike,
  byteOffset: number,
  length: number,
) => TensorData<D>;

const ARRAYS: { readonly [D in Dtype]: DataConstructor<D> & { BYTES_PER_ELEMENT: number } } = {
  BOOL: Uint8Array,
  F4: Uint8Array,
  F6_E2M3: Uint8Array,
  F6_E3M2: Uint8Array,
  U8: Uint8Array,
  I8: Int8Array,
  F8_E5M2: Uint8Array,
  F8_E4M3: Uint8Array,
  F8_E8M0: Uint8Array,
  F8_E4M3FNUZ: Uint8Array,
  F8_E5M2FNUZ: Uint8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  C64: Float32Array,
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
};

let memoryOf: (tensor: Tensor) => TensorMemory | null;

/** What a tensor that was not disposed shares with the others of its read. */
export function tensorMemory(tensor: Tensor): TensorMemory | null {
  return memoryOf(tensor);
}

/**
 * One tensor, verified and decrypted. Row-major (C order), little-endian, as in safetensors.
 *
 * The memory belongs to the caller. All tensors of one read share one buffer: whoever transfers it empties all of them.
 *
 * To send one to another thread, post its `data` (over a `SharedArrayBuffer`, with the option `shared`, nothing is copied), or share the
 * file with `SafeFile.share()`; a `Tensor` itself is refused by `postMessage` and `structuredClone` with a `DataCloneError`.
 */
class TensorOf<D extends Dtype> implements Disposable {
  static {
    Object.defineProperty(this, 'name', { value: 'Tensor' });
  }

  readonly name: string;
  readonly dtype: D;
  /** One entry per dimension; `[]` for a scalar. */
  readonly shape: readonly number[];
  readonly #memory: TensorMemory;
  #bytes: Uint8Array | null;
  /** @internal */
  readonly [NOT_CLONEABLE] = notCloneable('a Tensor: post its data, or share the file with SafeFile.share()');

  static {
    memoryOf = (tensor) => (tensor.#bytes === null ? null : tensor.#memory);
  }

  constructor(
    name: string,
    dtype: D,
    shape: readonly number[],
    bytes: Uint8Array,
    memory: TensorMemory,
    maker: typeof MAKER,
  ) {
    checkMaker(maker, 'a Tensor is made by reading, as by SafeFile.getTensor()');
    this.name = name;
    this.dtype = dtype;
    this.shape = shape;
    this.#bytes = bytes;
    this.#memory = memory;
    memory.retain();
  }

  /**
   * The tensor's bytes.
   *
   * @throws {CryptoTensorsError} `Closed` after `dispose()` or `wipe()`; `Detached` if its buffer was transferred away
   */
  get bytes(): Uint8Array {
    if (this.#bytes === null) {
      throw new CryptoTensorsError('Closed', 'this tensor was disposed; read it again from its file', {
        tensor: this.name,
      });
    }
    if (isDetached(this.#bytes)) {
      throw new CryptoTensorsError(
        'Detached',
        `tensor ${quote(this.name)}: its buffer has been transferred away. All tensors of one read share one buffer: to give one away by itself, copy it (tensor.bytes.slice()) or read it by itself`,
        { tensor: this.name },
      );
    }
    return this.#bytes;
  }

  get byteLength(): number {
    return this.bytes.byteLength;
  }

  /**
   * A view of the same memory as the typed array that fits the dtype: `Float32Array` for F32, `BigInt64Array` for I64,
   * interleaved `Float32Array` for C64, the 16-bit codes for F16 and BF16, the packed bytes for F8, F6 and F4. A copy if the
   * memory is not aligned for that, which only that of a mapped tensor can be.
   *
   * @throws {CryptoTensorsError} `Closed`, `Detached`, as `bytes`
   */
  get data(): TensorData<D> {
    const Data: DataConstructor<D> & { BYTES_PER_ELEMENT: number } = ARRAYS[this.dtype];
    const aligned = this.bytes.byteOffset % Data.BYTES_PER_ELEMENT === 0;
    const { buffer, byteOffset, byteLength } = aligned ? this.bytes : this.bytes.slice();
    return new Data(buffer, byteOffset, byteLength / Data.BYTES_PER_ELEMENT);
  }

  /**
   * The elements as 32-bit floats, exactly: a new array for F16, BF16 and the F8 dtypes, a view for F32.
   *
   * @throws {CryptoTensorsError} `InvalidOption` for any other dtype; `Closed`, `Detached`, as `bytes`
   */
  toFloat32(): Float32Array {
    const data: TensorData = this.data;
    if (isFloat32Array(data) && this.dtype === 'F32') return data;
    const converted = isUint8Array(data) || isUint16Array(data) ? toFloat32(this.dtype, data) : undefined;
    if (converted === undefined) {
      throw new CryptoTensorsError(
        'InvalidOption',
        `toFloat32 converts ${FLOAT32_CONVERTIBLE.join(', ')}; this tensor is ${this.dtype}: use its data`,
        { tensor: this.name, expected: FLOAT32_CONVERTIBLE.join(', '), found: this.dtype },
      );
    }
    return converted;
  }

  /**
   * Lets go of the memory. Once all tensors of a read are disposed of, its pages go back to the system at once, unless others may
   * still use them: shared memory and a caller's `into` stay as they are. Nothing is overwritten: that is `wipe()`. Idempotent.
   */
  dispose(): void {
    if (this.#bytes === null) return;
    this.#bytes = null;
    this.#memory.release();
  }

  /**
   * Overwrites the tensor's bytes with zeros, for all who see them (`shared` memory and a caller's `into` too), gives their pages back
   * to the system unless they are the caller's own, and disposes of the tensor. Blocks the calling thread, with the pool's help;
   * `wipeTensors` awaits. A mapped tensor has no memory of its own: it is only disposed of. Idempotent.
   *
   * @throws {CryptoTensorsError} `Detached` if its buffer was transferred away: what lies there is no longer within reach
   */
  wipe(): void {
    if (this.#bytes === null) return;
    this.#memory.wipe(this.bytes);
    this.dispose();
  }

  [DISPOSE](): void {
    this.dispose();
  }

  /** Shows what it is, not what is in it: weights may be confidential and logs are forever. */
  [inspect.custom](): string {
    const state = this.#bytes === null ? 'disposed' : `${this.#bytes.byteLength} bytes`;
    return `Tensor { name: ${JSON.stringify(this.name)}, dtype: ${this.dtype}, shape: [${this.shape.join(', ')}], ${state} }`;
  }

  toJSON(): { name: string; dtype: D; shape: readonly number[] } {
    return { name: this.name, dtype: this.dtype, shape: this.shape };
  }
}

/**
 * A tensor of any dtype: comparing its `dtype` tells the compiler what its `data` is.
 *
 * ```ts
 * if (tensor.dtype === 'F32') tensor.data satisfies Float32Array;
 * ```
 */
export type Tensor<D extends Dtype = Dtype> = D extends Dtype ? TensorOf<D> : never;

export const Tensor = TensorOf as {
  new (...args: ConstructorParameters<typeof TensorOf<Dtype>>): Tensor;
  readonly prototype: Tensor;
};
