import type { Dtype } from '../format/dtype.js';
import { layOut } from '../format/layout.js';
import { getEngine } from '../engine/load.js';
import { allocated, keepPrivate, letOut } from '../engine/memory.js';
import type { Engine } from '../engine/types.js';
import { writeAtomically } from '../files/atomic-write.js';
import { publicError } from '../model/faults.js';
import { checkBoolean } from '../options.js';
import { resolvePath } from '../path-argument.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { checkMetadata } from './metadata.js';
import { ownWriteOptions } from './options.js';
import type { ProtectOptions, WorkOptions } from './options.js';
import { createProtection } from './protection.js';
import { prepareSeal, sealTo } from './seal.js';
import type { PreparedSeal } from './seal.js';
import { selectTensors } from './select.js';
import { tensorSources } from './tensor-sources.js';
import { readTensors } from './tensors.js';

/** A tensor to save. `Tensor` objects fit too. */
export interface TensorLike {
  /** May be left out where the kind of `data` says it: `Float32Array` is F32, `BigInt64Array` I64, and so on. */
  dtype?: Dtype;
  /** One entry per dimension; `[]` for a scalar. */
  shape: readonly number[];
  /**
   * Row-major, little-endian; as many bytes as shape and dtype say. A typed array of the dtype's own kind, or bytes: a `Uint8Array`,
   * `DataView` or buffer. F16 and BF16 may be `Uint16Array`s of their codes. The awaiting forms work on a copy, unless it is in a
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

function* saveTo(tensors: unknown, path: unknown, given: unknown, where: string): Twin<void> {
  const target = resolvePath(path, 'path');
  const options = ownSaveOptions(given, where);
  yield* withPlan(tensors, options, (prepared, engine) =>
    writeAtomically({ path: target, byteLength: prepared.byteLength, engine, durable: options.durable }, (sink) =>
      sealTo(prepared, sink, engine, options),
    ),
  );
}

function* saveBytes(tensors: unknown, given: unknown, where: string): Twin<Uint8Array> {
  const options = ownSaveOptions(given, where);
  return yield* withPlan(tensors, options, function* (prepared, engine) {
    const bytes = keepPrivate(allocated(prepared.byteLength, () => new Uint8Array(prepared.byteLength)));
    yield* sealTo(prepared, engine.memorySink(bytes), engine, options);
    letOut(bytes);
    return bytes;
  });
}

function ownSaveOptions(options: unknown, where: string): SaveOptions {
  const own = ownWriteOptions<SaveOptions>(options, where, ['metadata', 'transfer']);
  checkBoolean(own.transfer, 'options.transfer');
  return own;
}

function* withPlan<Result>(
  input: unknown,
  options: SaveOptions,
  write: (prepared: PreparedSeal, engine: Engine) => Twin<Result>,
): Twin<Result> {
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
