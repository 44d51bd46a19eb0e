import { constants } from 'node:buffer';
import { CryptoTensorsError, quote } from '../errors.js';
import type { ReadRequest } from '../engine/types.js';
import { planTensors } from '../format/plan.js';
import { ITEMS_PER_BREATH, breathe } from '../twin.js';
import type { Twin } from '../twin.js';
import type { Model } from '../model/model.js';
import type { TensorRef } from '../model/tensor-index.js';

/** The longest typed array that the runtime makes, 4 GiB in Node.js 20, less room to align it to huge pages. */
export const MAX_PART_BYTES = constants.MAX_LENGTH - 4 * 2 ** 20;

/**
 * Tensors in the order of their data, file by file, cut into parts that one typed array can span each: one part, wherever the
 * runtime can.
 *
 * @throws {CryptoTensorsError} `InvalidOption` for a tensor that is larger than that
 */
export function* inParts(refs: readonly TensorRef[], limit: number): Twin<readonly (readonly TensorRef[])[]> {
  const parts: TensorRef[][] = [[]];
  let filled = 0;
  for (const [i, ref] of (yield* inDataOrder(refs)).entries()) {
    if (i % ITEMS_PER_BREATH === 0) yield* breathe();
    const { header } = ref.model;
    const length = header.end[ref.index]! - header.begin[ref.index]!;
    if (length > limit) throw tooLarge(ref, length, limit);
    // As much as its alignment may take on top.
    const room = length + TENSOR_ALIGNMENT;
    if (filled + room > limit && filled > 0) {
      parts.push([]);
      filled = 0;
    }
    parts.at(-1)!.push(ref);
    filled += room;
  }
  return parts;
}

/** Tensors start on multiples of this many bytes: a cache line, and enough for every typed array and for SIMD. */
const TENSOR_ALIGNMENT = 64;

/** What to copy out of one file, and the part of the destination that they fill. */
export interface FilePlan {
  model: Model;
  copies: ReadRequest['copies'];
  /** Start in the destination of the whole request. */
  start: number;
  byteLength: number;
}

/** Where tensors go in one piece of memory. */
export interface PartPlan {
  plans: FilePlan[];
  placed: { ref: TensorRef; offset: number }[];
  byteLength: number;
  /** Whether there is no gap between them. */
  isDense: boolean;
}

/** @param refs in data order, file by file */
export function* planPart(refs: readonly TensorRef[]): Twin<PartPlan> {
  const plans: FilePlan[] = [];
  const placed: PartPlan['placed'] = [];
  let byteLength = 0;
  let filled = 0;
  for (let first = 0; first < refs.length;) {
    const { model } = refs[first]!;
    let last = first;
    while (last < refs.length && refs[last]!.model === model) last++;
    const indices = refs.slice(first, last).map(({ index }) => index);
    const plan = yield* planTensors(model.header, indices, TENSOR_ALIGNMENT);
    const start = Math.ceil(byteLength / TENSOR_ALIGNMENT) * TENSOR_ALIGNMENT;
    plans.push({ model, copies: plan.copies, start, byteLength: plan.byteLength });
    for (const [k, index] of indices.entries()) {
      if (k % ITEMS_PER_BREATH === 0) yield* breathe();
      placed.push({ ref: { model, index }, offset: start + plan.offsets[k]! });
      filled += model.header.end[index]! - model.header.begin[index]!;
    }
    byteLength = start + plan.byteLength;
    first = last;
  }
  return { plans, placed, byteLength, isDense: filled === byteLength };
}

function* inDataOrder(refs: readonly TensorRef[]): Twin<readonly TensorRef[]> {
  if (isInDataOrder(refs)) return refs;
  const byModel = new Map<Model, number[]>();
  for (const { model, index } of refs) {
    const indices = byModel.get(model);
    if (indices === undefined) byModel.set(model, [index]);
    else indices.push(index);
  }
  const ordered: TensorRef[] = [];
  for (const [model, indices] of byModel) {
    indices.sort((a, b) => a - b);
    for (const [i, index] of indices.entries()) {
      if (i % ITEMS_PER_BREATH === 0) yield* breathe();
      ordered.push({ model, index });
    }
  }
  return ordered;
}

/** As those of a single file are, where all are asked for. */
function isInDataOrder(refs: readonly TensorRef[]): boolean {
  return refs.every(({ model, index }, i) => {
    const previous = refs[i - 1];
    return previous === undefined || (previous.model === model && previous.index < index);
  });
}

function tooLarge({ model, index }: TensorRef, length: number, limit: number): CryptoTensorsError {
  const tensor = model.header.names[index]!;
  return new CryptoTensorsError(
    'InvalidOption',
    `tensor ${quote(tensor)} has ${length} bytes, but one typed array of this runtime spans at most ${limit}: use Node.js 22 or later, or read it in slices`,
    { tensor, expected: `at most ${limit} bytes`, found: `${length} bytes` },
  );
}
