import { CryptoTensorsError, argumentError, quote } from '../errors.js';
import { isDtype } from '../format/dtype.js';
import type { Dtype } from '../format/dtype.js';
import { layOut } from '../format/layout.js';
import { getEngine } from '../engine/load.js';
import { allocated, bytesOf, isDetached, isMemory, keepPrivate, letOut } from '../engine/memory.js';
import { detachedError } from '../engine/own.js';
import type { Engine } from '../engine/types.js';
import { writeAtomically } from '../files/atomic-write.js';
import { publicError } from '../model/faults.js';
import { checkBoolean, checkOptionNames, resolvePath } from '../options.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { checkMetadata } from './metadata.js';
import { PROTECT_OPTIONS, WORK_OPTIONS, checkProtectOptions, checkWorkOptions } from './options.js';
import type { ProtectOptions, WorkOptions } from './options.js';
import { createProtection } from './protection.js';
import { prepareSeal, sealTo } from './seal.js';
import type { PreparedSeal } from './seal.js';
import { selectTensors } from './select.js';
import { tensorSources } from './tensor-sources.js';

/** A tensor to save. `Tensor` objects fit too. */
export interface TensorLike {
  /** May be left out where the kind of `data` says it: `Float32Array` is F32, `BigInt64Array` I64, and so on. */
  dtype?: Dtype;
  /** One entry per dimension; `[]` for a scalar. */
  shape: readonly number[];
  /**
   * Row-major, little-endian; as many bytes as shape and dtype say. The awaiting forms work on a copy, unless it is in a
   * `SharedArrayBuffer`, which must not be written to meanwhile, or handed over (`transfer`).
   */
  data: ArrayBufferView | ArrayBufferLike;
}

export type TensorsInput = ReadonlyMap<string, TensorLike> | Readonly<Record<string, TensorLike>>;

/** Options of `saveFile` and `save`. Without `keys` the file is plain safetensors. */
export interface SaveOptions extends Partial<ProtectOptions>, WorkOptions {
  /** Free text, string to string. Keys that begin with `__` are reserved. */
  metadata?: Readonly<Record<string, string>> | ReadonlyMap<string, string>;
  /**
   * Hand the tensors' data over instead of having it copied: their `ArrayBuffer`s are moved to the library and are empty from then on,
   * with all views of them. What cannot be moved is copied all the same. Default: false.
   */
  transfer?: boolean;
}

/**
 * Writes tensors to a file: encrypted and signed when `keys` are given, plain safetensors otherwise. What is at `path` is
 * replaced atomically; when anything fails it stays as it was.
 *
 * ```ts
 * await saveFile({ w: { shape: [2, 3], data: new Float32Array(6) } }, 'model.safetensors', { keys: 'keys.json' });
 * ```
 *
 * @throws {CryptoTensorsError} `InvalidOption` (a name, shape, dtype or selection that does not fit), `TensorInvalidInfo`
 * (data of another length than shape × dtype), `MisalignedSlice` (a sub-byte dtype that does not fill whole bytes),
 * `HeaderTooLarge`, `Detached` (data that was transferred away), `PolicyError` (a local policy with a syntax error or without `allow`), `KeyNotFound`, `InvalidKey`, `FileError`
 * @throws {AbortError} when `signal` fires
 */
export async function saveFile(tensors: TensorsInput, path: string | URL, options: SaveOptions = {}): Promise<void> {
  return runAsync(saveTo(tensors, path, options, 'saveFile'));
}

/** `saveFile`, blocking the calling thread. */
export function saveFileSync(tensors: TensorsInput, path: string | URL, options: SaveOptions = {}): void {
  runSync(saveTo(tensors, path, options, 'saveFileSync'));
}

/** The bytes of such a file. Throws the same as `saveFile`. */
export async function save(tensors: TensorsInput, options: SaveOptions = {}): Promise<Uint8Array> {
  return runAsync(saveBytes(tensors, options, 'save'));
}

/** `save`, blocking the calling thread. */
export function saveSync(tensors: TensorsInput, options: SaveOptions = {}): Uint8Array {
  return runSync(saveBytes(tensors, options, 'saveSync'));
}

function* saveTo(tensors: TensorsInput, path: string | URL, options: SaveOptions, where: string): Twin<void> {
  const target = resolvePath(path, 'path');
  yield* withPlan(tensors, options, where, (prepared, engine) =>
    writeAtomically({ path: target, byteLength: prepared.byteLength, engine, durable: options.durable }, (sink) =>
      sealTo(prepared, sink, engine, options),
    ),
  );
}

function* saveBytes(tensors: TensorsInput, options: SaveOptions, where: string): Twin<Uint8Array> {
  return yield* withPlan(tensors, options, where, function* (prepared, engine) {
    const bytes = keepPrivate(allocated(prepared.byteLength, () => new Uint8Array(prepared.byteLength)));
    yield* sealTo(prepared, engine.memorySink(bytes), engine, options);
    letOut(bytes);
    return bytes;
  });
}

function* withPlan<Result>(
  input: TensorsInput,
  options: SaveOptions,
  where: string,
  write: (prepared: PreparedSeal, engine: Engine) => Twin<Result>,
): Twin<Result> {
  checkOptionNames(options, ['metadata', 'transfer', ...PROTECT_OPTIONS, ...WORK_OPTIONS], where);
  checkProtectOptions(options);
  checkWorkOptions(options);
  checkBoolean(options.transfer, 'options.transfer');
  const metadata = checkMetadata(options.metadata);
  const engine = getEngine();
  const tensors = layOut(readTensors(input));
  const protection = yield* createProtection(options, engine);
  try {
    const encrypt = selectTensors(
      options.tensors,
      tensors.map(({ name, dtype, shape, begin, end }) => ({
        name,
        dtype,
        shape: shape.map(Number),
        byteLength: end - begin,
      })),
    );
    const sources = yield* tensorSources(tensors, engine, options.transfer === true);
    const prepared = prepareSeal({
      tensors: tensors.map((tensor, i) => ({ ...tensor, ...sources[i]! })),
      metadata,
      protection,
      encrypt,
    });
    return yield* write(prepared, engine);
  } catch (error) {
    throw publicError(error, { path: undefined, names: tensors.map(({ name }) => name), signal: options.signal });
  } finally {
    protection?.dispose();
  }
}

interface NamedBytes {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  bytes: Uint8Array;
}

function readTensors(input: unknown): NamedBytes[] {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw argumentError('tensors', 'a Map or an object of tensors by name', input);
  }
  const entries = input instanceof Map ? [...(input as Map<unknown, unknown>)] : Object.entries(input);
  return entries.map(([name, tensor]) => {
    if (typeof name !== 'string') throw argumentError('a tensor name', 'a string', name);
    return readTensor(name, tensor);
  });
}

function readTensor(name: string, tensor: unknown): NamedBytes {
  const label = `tensors[${quote(name)}]`;
  if (typeof tensor !== 'object' || tensor === null)
    throw argumentError(label, 'an object with shape and data', tensor);
  const { shape, data } = tensor as Partial<TensorLike>;
  if (!Array.isArray(shape)) throw argumentError(`${label}.shape`, 'an array of dimensions', shape);
  for (const dimension of shape as unknown[]) {
    if (typeof dimension !== 'number') throw argumentError(`a dimension of ${label}.shape`, 'a number', dimension);
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw new CryptoTensorsError(
        'InvalidOption',
        `${label}.shape: a dimension must be an integer from 0, not ${dimension}`,
        {
          tensor: name,
        },
      );
    }
  }
  const bytes = dataBytes(label, name, data);
  return { name, shape: shape as number[], dtype: dtypeOf(label, name, tensor), bytes };
}

function dataBytes(label: string, name: string, data: unknown): Uint8Array {
  if (!isMemory(data)) throw argumentError(`${label}.data`, 'a typed array or an ArrayBuffer', data);
  const bytes = isDetached(data) ? null : bytesOf(data);
  if (bytes === null) throw detachedError(`${label}.data`, { tensor: name });
  return bytes;
}

/** Arrays whose elements are of one dtype only. `Uint8Array` and `Uint16Array` could be several, but mean their own. */
const INFERRED: ReadonlyMap<string, Dtype> = new Map<string, Dtype>([
  ['Int8Array', 'I8'],
  ['Uint8Array', 'U8'],
  ['Int16Array', 'I16'],
  ['Uint16Array', 'U16'],
  ['Float16Array', 'F16'],
  ['Int32Array', 'I32'],
  ['Uint32Array', 'U32'],
  ['Float32Array', 'F32'],
  ['Float64Array', 'F64'],
  ['BigInt64Array', 'I64'],
  ['BigUint64Array', 'U64'],
]);

function dtypeOf(label: string, name: string, tensor: Partial<TensorLike>): Dtype {
  const { dtype, data } = tensor as { dtype?: unknown; data?: object };
  if (dtype === undefined) {
    const inferred = INFERRED.get(data?.constructor.name ?? '');
    if (inferred !== undefined) return inferred;
    throw new CryptoTensorsError(
      'InvalidOption',
      `${label}.dtype must be given: the kind of its data does not say it`,
      {
        tensor: name,
      },
    );
  }
  if (typeof dtype !== 'string') throw argumentError(`${label}.dtype`, 'a string', dtype);
  if (!isDtype(dtype)) {
    throw new CryptoTensorsError('InvalidOption', `${label}.dtype: ${quote(dtype)} is not a dtype of safetensors`, {
      tensor: name,
      found: dtype.slice(0, 40),
    });
  }
  return dtype;
}
