import { CryptoTensorsError, argumentError } from '../errors.js';
import { LENGTH_BYTES } from '../format/canonical.js';
import { parseHeader } from '../format/header.js';
import { isShared } from '../engine/memory.js';
import { ownCopy } from '../engine/own.js';
import type { Engine, EngineSharing, Publication } from '../engine/types.js';
import { checkFunction, checkInteger, checkOptionNames } from '../options.js';
import { runSync } from '../twin.js';
import type { Audit, AuditListener } from '../model/audit.js';
import { publicError } from '../model/faults.js';
import { closeModel } from '../model/model.js';
import type { Encryption, Check, Model } from '../model/model.js';
import { MAX_THREADS } from './options.js';
import { indexShards } from '../model/shards.js';
import type { ShardIndex } from '../model/shards.js';
import { TensorGuard } from '../model/tensor-guard.js';
import { indexFile } from '../model/tensor-index.js';
import type { TensorIndex } from '../model/tensor-index.js';

const KIND = 'cryptotensors-model';

/**
 * A token for an open model, to be sent to other threads of this process with `postMessage` or as `workerData`. It holds the
 * verified header in shared memory and names of native objects; no key is in it. It means nothing in another process.
 */
export interface SharedModel {
  readonly kind: typeof KIND;
  readonly files: readonly SharedFile[];
  readonly shards: ShardIndex | null;
}

/** A token, and what it stands for: to be kept for as long as the token shall be good. */
export interface Sharing {
  readonly shared: SharedModel;
  readonly publications: readonly Publication[];
}

interface SharedFile {
  readonly path: string | undefined;
  readonly token: string;
  /** The header, as verified, in a SharedArrayBuffer. */
  readonly header: Uint8Array;
  readonly byteLength: number;
  /** Where the data begins in the file: not behind this header, if it is a detached one. */
  readonly dataStart: number;
  /** The file's bytes, for a file that was opened from shared memory. */
  readonly memory: Uint8Array | null;
  readonly encryption: Encryption | null;
  /**
   * What the file's policy says of each tensor, null if it says nothing about them. The decisions alone: what they follow from
   * (claims, variables of the environment) can be confidential, and a token is easily logged.
   */
  readonly decisions: Uint8Array | null;
  readonly checks: readonly Check[];
  readonly chunkSizes: Float64Array;
}

/**
 * @throws {CryptoTensorsError} `InvalidOption` for a model in memory that is not shared; `NativeUnavailable`; `PolicyError` if
 * a policy that has a say in single tensors cannot be asked
 */
export function shareModels(engine: Engine, models: readonly Model[], shards: ShardIndex | null): Sharing {
  const sharing = sharingOf(engine);
  // All of them before anything is registered.
  const decisions = models.map(({ guard }) => (guard === null ? null : runSync(guard.decisions(undefined))));
  const publications: Publication[] = [];
  try {
    const files = models.map((model, i) => shareFile(sharing, model, decisions[i] ?? null, publications));
    return { shared: { kind: KIND, shards, files }, publications };
  } catch (error) {
    for (const publication of publications) publication.withdraw();
    throw error;
  }
}

function shareFile(
  sharing: EngineSharing,
  model: Model,
  decisions: Uint8Array | null,
  publications: Publication[],
): SharedFile {
  const { path, header, dataStart, source, memory, table, encryption, checks, chunkSizes } = model;
  if (memory !== null && !isShared(memory)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      'a model that was opened from bytes can be shared only if they are in a SharedArrayBuffer: open it from such, or from its file',
    );
  }
  const bytes = new Uint8Array(new SharedArrayBuffer(header.bytes.byteLength));
  bytes.set(header.bytes);
  const publication = sharing.share(memory === null ? source : null, table);
  publications.push(publication);
  return {
    path,
    token: publication.token,
    header: bytes,
    byteLength: source.size,
    dataStart,
    memory,
    encryption,
    decisions,
    checks,
    chunkSizes,
  };
}

/** Options of `SafeFile.attach`. */
export interface AttachOptions {
  /** Threads to use at the most for each read. Default: all of the pool. */
  threads?: number;
  /** As in `safeOpen`: gets what happens to the model in this thread, the attaching first (`opened`). */
  onEvent?: AuditListener;
}

export function checkAttachOptions(options: AttachOptions): void {
  checkOptionNames(options, ['threads', 'onEvent'], 'SafeFile.attach');
  checkInteger(options.threads, 'options.threads', 1, MAX_THREADS);
  checkFunction(options.onEvent, 'options.onEvent');
}

/** The models behind a token, for this thread. @throws {CryptoTensorsError} `Closed` if the model was closed meanwhile */
export function attachModels(
  shared: unknown,
  engine: Engine,
  audit: Audit | null,
): { models: Model[]; index: TensorIndex } {
  if (!isSharedModel(shared)) throw argumentError('token', 'what SafeFile.share() returned', shared);
  const sharing = sharingOf(engine);
  const models: Model[] = [];
  try {
    for (const file of shared.files) models.push(attachFile(engine, sharing, file));
    const [first] = models;
    const index =
      shared.shards === null && first !== undefined ? indexFile(first) : runSync(indexShards(models, shared.shards!));
    for (const model of models) audit?.opened(model);
    return { models, index };
  } catch (error) {
    for (const model of models) closeModel(model);
    const refusal = publicError(error, { path: undefined, names: [] });
    const files = shared.files.map(({ path }) => path);
    audit?.denied(refusal, { path: shared.shards?.path ?? files[0], files });
    throw refusal;
  }
}

function attachFile(engine: Engine, sharing: EngineSharing, file: SharedFile): Model {
  const { path, dataStart, memory, encryption, decisions, checks, chunkSizes } = file;
  // A copy: the parsed header must not change under us.
  const text = Uint8Array.from(file.header);
  const header = parseHeader(text, LENGTH_BYTES + text.length + file.byteLength - dataStart);
  const { source, table } = sharing.attach(file.token, path);
  return {
    engine,
    path,
    header,
    dataStart,
    memory,
    encryption,
    checks,
    chunkSizes,
    table,
    guard: decisions === null ? null : new TensorGuard(header, null, decisions),
    // Out of a token: anything can be in it. What is not shared is copied.
    source: source ?? engine.openBytes(isShared(memory!) ? memory! : ownCopy(memory!)),
  };
}

function isSharedModel(value: unknown): value is SharedModel {
  return typeof value === 'object' && value !== null && (value as Partial<SharedModel>).kind === KIND;
}

function sharingOf(engine: Engine): EngineSharing {
  if (engine.sharing !== null) return engine.sharing;
  throw new CryptoTensorsError(
    'NativeUnavailable',
    'sharing a model between threads needs the native engine; with the portable engine, open the file in each thread',
  );
}
