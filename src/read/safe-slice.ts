import { CryptoTensorsError } from '../errors.js';
import type { Dtype } from '../format/dtype.js';
import { letOut } from '../engine/memory.js';
import { planSlice } from '../format/plan.js';
import type { SlicePlan } from '../format/plan.js';
import { normalizeSlice } from '../format/slice.js';
import { naming } from '../model/faults.js';
import type { SliceIndex } from '../format/slice.js';
import { NOT_CLONEABLE, notCloneable } from '../not-cloneable.js';
import type { Twin } from '../twin.js';
import { ownReadOptions } from './options.js';
import type { ReadOptions } from './options.js';
import { demandTensors, destinationOf, readPlans } from './read-tensors.js';
import type { ReadContext } from './read-tensors.js';
import type { TensorRef } from '../model/tensor-index.js';
import type { Reads } from './reads.js';
import { Tensor } from './tensor.js';
import { TensorMemory } from './tensor-memory.js';
import { option, say } from '../wording.js';
import { MAKER, checkMaker } from '../maker.js';

/** Ranges, one per dimension, and options behind them if need be. */
export type SliceArguments = readonly (SliceIndex | ReadOptions)[];

/**
 * Part of a tensor, read on demand: only the chunks that the part touches are fetched, verified and decrypted (a version 1
 * tensor is one chunk). Made by `SafeFile.getSlice`; reads nothing by itself.
 */
export class SafeSlice {
  readonly name: string;
  readonly dtype: Dtype;
  /** Shape of the whole tensor. */
  readonly shape: readonly number[];
  readonly #ref: TensorRef;
  readonly #reads: Reads;
  /** @internal */
  readonly [NOT_CLONEABLE] = notCloneable(
    'a SafeSlice: post the SafeFile.share(), and get the slice from what is attached to that',
  );

  /** @internal Use `SafeFile.getSlice`. */
  constructor(ref: TensorRef, reads: Reads, maker: typeof MAKER) {
    checkMaker(maker, 'a SafeSlice is made by SafeFile.getSlice()');
    const { header } = ref.model;
    this.name = header.names[ref.index]!;
    this.dtype = header.dtype(ref.index);
    this.shape = header.shape(ref.index);
    this.#ref = ref;
    this.#reads = reads;
  }

  /**
   * Reads a part: for each dimension an index `n` (which drops the dimension), a range `[start, stop]`, or `null` for all of
   * it. Dimensions that are left out are read whole; negative numbers count from the end. Options may follow the ranges.
   *
   * ```ts
   * await slice.read([0, 128]);          // the first 128 rows
   * await slice.read(null, -1);          // the last column
   * await slice.read([0, 8], { signal });
   * ```
   *
   * @throws {CryptoTensorsError} `TooManySlices`, `SliceOutOfRange`, `MisalignedSlice` (a sub-byte dtype cut within a byte),
   * and whatever `getTensor` throws
   */
  async read(...args: SliceArguments): Promise<Tensor> {
    const { ranges, options } = splitArguments(args);
    return this.#reads.run(options, (context) => this.#read(ranges, options, context));
  }

  /** The same, blocking the calling thread. */
  readSync(...args: SliceArguments): Tensor {
    const { ranges, options } = splitArguments(args);
    return this.#reads.runSync(options, (context) => this.#read(ranges, options, context));
  }

  *#read(ranges: readonly SliceIndex[], options: ReadOptions, context: ReadContext): Twin<Tensor> {
    const { model } = this.#ref;
    yield* demandTensors([this.#ref], context.signal);
    const plan = this.#plan(ranges);
    const { bytes, owned } = yield* destinationOf(context.engine, plan.byteLength, options, true);
    yield* readPlans([{ model, copies: plan.copies, start: 0, byteLength: plan.byteLength }], bytes, context);
    letOut(bytes);
    const memory = new TensorMemory(context.engine, bytes, owned ? 'own' : 'given');
    return new Tensor(this.name, this.dtype, plan.shape, bytes, memory, MAKER);
  }

  #plan(ranges: readonly SliceIndex[]): SlicePlan {
    const { model, index } = this.#ref;
    try {
      return planSlice(model.header, index, normalizeSlice(model.header.shape(index), ranges));
    } catch (error) {
      throw naming(error, model.path);
    }
  }
}

function splitArguments(args: SliceArguments): { ranges: SliceIndex[]; options: ReadOptions } {
  const last = args.at(-1);
  const hasOptions = typeof last === 'object' && last !== null && !Array.isArray(last);
  const options = ownReadOptions(hasOptions ? last : undefined, 'SafeSlice.read');
  if (options.map === true) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('map')} is for whole tensors: map the tensor and take a part of its data`,
    );
  }
  return { ranges: (hasOptions ? args.slice(0, -1) : [...args]) as SliceIndex[], options };
}
