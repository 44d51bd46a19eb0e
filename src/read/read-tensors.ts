import { CryptoTensorsError, quote } from '../errors.js';
import { isDetached, isShared, letOut, part, takeOver } from '../engine/memory.js';
import type { Engine } from '../engine/types.js';
import { copiedBytes } from '../format/plan.js';
import { mapped, step } from '../twin.js';
import type { Twin } from '../twin.js';
import type { Audit } from '../model/audit.js';
import { publicError } from '../model/faults.js';
import { claimRange } from './being-filled.js';
import { intoBytes } from './options.js';
import type { ReadOptions } from './options.js';
import { MAX_PART_BYTES, inParts, planPart } from './parts.js';
import type { FilePlan, PartPlan } from './parts.js';
import type { TensorRef } from '../model/tensor-index.js';
import { linkSignals } from './signals.js';
import type { TensorGuard } from '../model/tensor-guard.js';
import { Tensor } from './tensor.js';
import { TensorMemory } from './tensor-memory.js';
import { option, say } from '../wording.js';
import { MAKER } from '../maker.js';

/** What a read needs besides its plan. */
export interface ReadContext {
  engine: Engine;
  threads: number;
  signal: AbortSignal | undefined;
  onProgress: ReadOptions['onProgress'];
  /** Whom to tell of what was read; null: nobody. */
  audit: Audit | null;
}

/**
 * The caller's memory, or new memory of the engine's: what a read may fill while JavaScript runs.
 *
 * @param filled whether the read will write to all of it, so that it need not be cleared before
 * @throws InvalidOption if `into` is too small, or cannot be taken over; Detached
 */
export function* destinationOf(
  engine: Engine,
  byteLength: number,
  { shared = false, into }: ReadOptions,
  filled: boolean,
): Twin<{ bytes: Uint8Array; owned: boolean }> {
  if (into === undefined) {
    const unsafe = filled && !shared;
    return { bytes: unsafe ? engine.allocateUnsafe(byteLength) : engine.allocate(byteLength, shared), owned: true };
  }
  const given = intoBytes(into);
  if (given.byteLength < byteLength) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('into')} holds ${given.byteLength} bytes, but this read needs ${byteLength}`,
      { expected: `at least ${byteLength} bytes`, found: `${given.byteLength} bytes` },
    );
  }
  const bytes = part(given, 0, byteLength);
  if (byteLength === 0 || isShared(bytes)) return { bytes, owned: false };
  const taken = yield* step(
    () => bytes,
    () => Promise.resolve(takeOver(bytes)),
  );
  if (taken === null) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('into')} cannot be taken over for the time of the read: it is memory of WebAssembly, of the pool of small Buffers, or marked as untransferable. Use an ArrayBuffer of its own, a SharedArrayBuffer, or the Sync form, which fills it where it is`,
    );
  }
  return { bytes: taken, owned: false };
}

/**
 * Carries out the plans, one native job per file, into one destination. All or nothing: when any of them fails the others
 * are stopped, and what was written has been wiped before the error is thrown.
 */
export function* readPlans(plans: readonly FilePlan[], destination: Uint8Array, context: ReadContext): Twin<void> {
  const progress = progressOf(plans, context.onProgress);
  const filled: FilePlan[] = [];
  const release = claimRange(destination);
  try {
    yield* step(
      () => {
        for (const [i, plan] of plans.entries()) {
          readOne(plan, destination, context, progress?.(i));
          filled.push(plan);
        }
      },
      () => readConcurrently(plans, destination, context, progress, filled),
    );
    // Before anything is handed over: what cannot be logged is not.
    if (context.audit) for (const { model, copies } of plans) context.audit.copied(model, copies);
  } catch (error) {
    // A job that failed has wiped what it wrote by itself.
    for (const { start, byteLength } of filled) yield* wipePart(context.engine, destination, start, byteLength);
    throw error;
  } finally {
    release();
  }
}

/** Wipes by the pool's threads what has not been taken away. */
export function* wipePart(engine: Engine, bytes: Uint8Array, start = 0, length = bytes.byteLength): Twin<void> {
  if (length === 0 || isDetached(bytes)) return;
  const wiped = part(bytes, start, length);
  yield* step(
    () => engine.wipeAll(wiped, false),
    () => engine.wipeAllAsync(wiped, false),
  );
}

type Report = NonNullable<ReadOptions['onProgress']>;

/** Per plan what to call with the bytes that it has copied: the caller hears of the bytes of all plans, as one count. */
function progressOf(plans: readonly FilePlan[], report: Report | undefined): ((plan: number) => Report) | undefined {
  if (report === undefined) return undefined;
  const done = new Float64Array(plans.length);
  const total = bytesOf(plans);
  let sum = 0;
  return (plan) => (bytes) => {
    sum += bytes - done[plan]!;
    done[plan] = bytes;
    report(sum, total);
  };
}

/** Bytes that the plans copy to their destination; there may be gaps between them. */
function bytesOf(plans: readonly FilePlan[]): number {
  return plans.reduce((sum, { copies }) => sum + copiedBytes(copies), 0);
}

function readOne(plan: FilePlan, destination: Uint8Array, context: ReadContext, onProgress: Report | undefined): void {
  try {
    context.engine.readSync(request(plan, destination, context, context.signal, onProgress));
  } catch (error) {
    throw planError(error, plan, context);
  }
}

function planError(error: unknown, { model }: FilePlan, { signal }: ReadContext): unknown {
  return publicError(error, { path: model.path, names: model.header.names, signal });
}

async function readConcurrently(
  plans: readonly FilePlan[],
  destination: Uint8Array,
  context: ReadContext,
  progress: ((plan: number) => Report) | undefined,
  filled: FilePlan[],
): Promise<void> {
  const stop = new AbortController();
  const { signal, unlink } = linkSignals([context.signal, stop.signal]);
  let first: { error: unknown } | undefined;
  await Promise.all(
    plans.map(async (plan, i) => {
      try {
        await context.engine.read(request(plan, destination, context, signal, progress?.(i)));
        filled.push(plan);
      } catch (error) {
        first ??= { error: planError(error, plan, context) };
        stop.abort();
      }
    }),
  );
  unlink();
  if (first !== undefined) throw first.error;
}

function request(
  { model, copies, start, byteLength }: FilePlan,
  destination: Uint8Array,
  { threads }: ReadContext,
  signal: AbortSignal | undefined,
  onProgress: ((done: number, total: number) => void) | undefined,
) {
  return {
    table: model.table,
    source: model.source,
    destination: part(destination, start, byteLength),
    copies,
    threads,
    signal,
    onProgress,
  };
}

/**
 * Asks the policies of the files that have something to say about single tensors.
 *
 * @throws PolicyDenied, PolicyError unless all of them may be read
 */
export function* demandTensors(refs: readonly TensorRef[], signal: AbortSignal | undefined): Twin<void> {
  const guarded = new Map<TensorGuard, number[]>();
  for (const { model, index } of refs) {
    if (model.guard === null) continue;
    const indices = guarded.get(model.guard);
    if (indices === undefined) guarded.set(model.guard, [index]);
    else indices.push(index);
  }
  const advice =
    refs.length > 1
      ? 'Several tensors are read all or none: pass `names` without it, of those that allowedKeys() lists'
      : undefined;
  for (const [guard, indices] of guarded) yield* guard.demand(indices, signal, advice);
}

/**
 * Reads whole tensors, of any number of files, into one piece of memory; into several, where the runtime has no typed array that is
 * long enough. All or nothing.
 *
 * @throws PolicyDenied, PolicyError, InvalidOption
 */
export function* readTensors(
  refs: readonly TensorRef[],
  options: ReadOptions,
  context: ReadContext,
  limit = MAX_PART_BYTES,
): Twin<Tensor[]> {
  yield* demandTensors(refs, context.signal);
  if (options.map === true) return mapTensors(refs, context);
  // What the caller gave is one piece.
  const parts: PartPlan[] = [];
  for (const part of yield* inParts(refs, options.into === undefined ? limit : Infinity)) {
    parts.push(yield* planPart(part));
  }
  const total = parts.reduce((sum, { plans }) => sum + bytesOf(plans), 0);
  const tensors: Tensor[] = [];
  const filled: Uint8Array[] = [];
  let done = 0;
  const report = context.onProgress;
  try {
    for (const part of parts) {
      const onProgress = report && ((bytes: number) => report(done + bytes, total));
      const { bytes, owned } = yield* destinationOf(context.engine, part.byteLength, options, part.isDense);
      yield* readPlans(part.plans, bytes, { ...context, onProgress });
      filled.push(bytes);
      const memory = new TensorMemory(context.engine, bytes, owned ? 'own' : 'given');
      for (const tensor of yield* handOut(part, bytes, memory)) tensors.push(tensor);
      done += bytesOf(part.plans);
    }
  } catch (error) {
    for (const bytes of filled) yield* wipePart(context.engine, bytes);
    throw error;
  }
  for (const bytes of filled) letOut(bytes);
  return tensors;
}

function handOut({ placed }: PartPlan, bytes: Uint8Array, memory: TensorMemory): Twin<Tensor[]> {
  return mapped(placed, ({ ref: { model, index }, offset }) => {
    const { header } = model;
    const length = header.end[index]! - header.begin[index]!;
    return new Tensor(
      header.names[index]!,
      header.dtype(index),
      header.shape(index),
      part(bytes, offset, length),
      memory,
      MAKER,
    );
  });
}

function mapTensors(refs: readonly TensorRef[], context: ReadContext): Tensor[] {
  const tensors = refs.map((ref) => mapTensor(ref, context));
  const { audit } = context;
  if (audit) {
    for (const [i, { name, byteLength }] of tensors.entries()) audit.tensorsRead(refs[i]!.model, [name], byteLength);
  }
  return tensors;
}

/** A view of the file's own bytes, for a tensor that nothing protects. */
function mapTensor({ model, index }: TensorRef, { engine }: ReadContext): Tensor {
  const { header, dataStart, source, path } = model;
  const name = header.names[index]!;
  if (model.checks[index] !== 'none') {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('map')}: tensor ${quote(name)} is protected by a ${model.checks[index]!}, and what is mapped cannot be verified: read it without map`,
      { tensor: name },
    );
  }
  const begin = header.begin[index]!;
  const length = header.end[index]! - begin;
  let bytes: Uint8Array;
  try {
    bytes = length === 0 ? new Uint8Array(0) : engine.map(source, dataStart + begin, length);
  } catch (error) {
    throw publicError(error, { path, names: header.names });
  }
  return new Tensor(
    name,
    header.dtype(index),
    header.shape(index),
    bytes,
    new TensorMemory(engine, bytes, 'mapped'),
    MAKER,
  );
}
