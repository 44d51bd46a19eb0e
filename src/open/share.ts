import { isUint8Array } from 'node:util/types';
import { deserialize, serialize } from 'node:v8';
import { CryptoTensorsError, argumentError } from '../errors.js';
import { LENGTH_BYTES } from '../format/canonical.js';
import { parseHeader } from '../format/header.js';
import { isShared } from '../engine/memory.js';
import type { Engine, EngineSharing, Publication } from '../engine/types.js';
import { checkFunction, checkInteger, ownMembers, ownOptions } from '../options.js';
import { runSync } from '../twin.js';
import type { Audit, AuditListener } from '../model/audit.js';
import { publicError } from '../model/faults.js';
import { closeModel } from '../model/model.js';
import type { Encryption, Check, Model } from '../model/model.js';
import type { ModelParts } from '../model/model-parts.js';
import { MAX_THREADS } from './options.js';
import { indexShards } from '../model/shards.js';
import type { ShardIndex } from '../model/shards.js';
import { TensorGuard } from '../model/tensor-guard.js';
import { indexFile } from '../model/tensor-index.js';
import type { TensorIndex } from '../model/tensor-index.js';

const KIND = 'cryptotensors-model';

/**
 * A token for an open model, to be sent to other threads of this process with `postMessage` or as `workerData`. It is a name and
 * no more: what was verified and decided lies in native memory under it, out of reach. It means nothing in another process.
 */
export interface SharedModel {
  readonly kind: typeof KIND;
  readonly name: string;
  /** Per file: its bytes, where it was opened from shared memory. */
  readonly memories: readonly (Uint8Array | null)[];
}

/** A token, and what it stands for: to be kept for as long as the token shall be good. */
export interface Sharing {
  readonly shared: SharedModel;
  readonly publications: readonly Publication[];
}

/** What lies under the name of a file, beside its descriptor and its data keys. Nobody who holds a token can change it. */
interface FileFacts {
  readonly path: string | undefined;
  readonly byteLength: number;
  /** Where the data begins in the file: not behind this header, if it is a detached one. */
  readonly dataStart: number;
  readonly inMemory: boolean;
  readonly encryption: Encryption | null;
  /**
   * What the file's policy says of each tensor, null if it says nothing about them. The decisions alone: what they follow from
   * (claims, variables of the environment) can be confidential.
   */
  readonly decisions: Uint8Array | null;
  readonly checks: readonly Check[];
  readonly chunkSizes: Float64Array;
  /** Of the last file of a model, whose name the token is: the names of the others, and what makes them one model. */
  readonly model: TogetherFacts | null;
}

interface TogetherFacts {
  readonly others: readonly string[];
  readonly shards: ShardIndex | null;
  /** So many of the first files are sealed ones. */
  readonly sealed: number;
  readonly isWhole: boolean;
}

/**
 * @throws {CryptoTensorsError} `InvalidOption` for a model in memory that is not shared; `NativeUnavailable`; `PolicyError` if
 * a policy that has a say in single tensors cannot be asked
 */
export function shareModels(engine: Engine, { models: weights, sealed, shards, isWhole }: ModelParts): Sharing {
  const sharing = sharingOf(engine);
  const models = [...sealed, ...weights];
  for (const { memory } of models) checkMemory(memory);
  // All of them before anything is registered.
  const decisions = models.map(({ guard }) => (guard === null ? null : runSync(guard.decisions(undefined))));
  const publications: Publication[] = [];
  try {
    for (const [i, model] of models.entries()) {
      const others = publications.map(({ token }) => token);
      const together = i === models.length - 1 ? { others, shards, sealed: sealed.length, isWhole } : null;
      publications.push(shareFile(sharing, model, decisions[i] ?? null, together));
    }
    const memories = models.map(({ memory }) => memory);
    return { shared: { kind: KIND, name: publications.at(-1)!.token, memories }, publications };
  } catch (error) {
    for (const publication of publications) publication.withdraw();
    throw error;
  }
}

function checkMemory(memory: Uint8Array | null): void {
  if (memory === null || isShared(memory)) return;
  throw new CryptoTensorsError(
    'InvalidOption',
    'a model that was opened from bytes can be shared only if they are in a SharedArrayBuffer: open it from such, or from its file',
  );
}

function shareFile(
  sharing: EngineSharing,
  model: Model,
  decisions: Uint8Array | null,
  together: FileFacts['model'],
): Publication {
  const { path, header, dataStart, source, memory, table, encryption, checks, chunkSizes } = model;
  const facts: FileFacts = {
    path,
    byteLength: source.size,
    dataStart,
    inMemory: memory !== null,
    encryption,
    decisions,
    checks,
    chunkSizes,
    model: together,
  };
  return sharing.share(memory === null ? source : null, table, encodeFacts(facts, header.bytes));
}

/** The length of the facts, the facts, the header as it was verified. */
function encodeFacts(facts: FileFacts, header: Uint8Array): Uint8Array {
  const text = serialize(facts);
  const bytes = new Uint8Array(4 + text.length + header.length);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(text, 4);
  bytes.set(header, 4 + text.length);
  return bytes;
}

function decodeFacts(bytes: Uint8Array): { facts: FileFacts; header: Uint8Array } {
  const end = 4 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return { facts: deserialize(bytes.subarray(4, end)) as FileFacts, header: bytes.subarray(end) };
}

/** Options of `SafeFile.attach`. */
export interface AttachOptions {
  /** Threads to use at the most for each read. Default: all of the pool. */
  threads?: number;
  /** As in `safeOpen`: gets what happens to the model in this thread, the attaching first (`opened`). */
  onEvent?: AuditListener;
}

export function ownAttachOptions(options: unknown): AttachOptions {
  const own = ownOptions<AttachOptions>(options, ['threads', 'onEvent'], 'SafeFile.attach');
  checkInteger(own.threads, 'options.threads', 1, MAX_THREADS);
  checkFunction(own.onEvent, 'options.onEvent');
  return own;
}

const ALONE: TogetherFacts = { others: [], shards: null, sealed: 0, isWhole: false };

/** The models behind a token, for this thread. @throws {CryptoTensorsError} `Closed` if the model was closed meanwhile */
export function attachModels(
  shared: unknown,
  engine: Engine,
  audit: Audit | null,
): ModelParts & { index: TensorIndex } {
  const { name, memories } = readToken(shared);
  const sharing = sharingOf(engine);
  const models: Model[] = [];
  const place: { path: string | undefined; files: (string | undefined)[] } = { path: undefined, files: [] };
  try {
    const last = attachFile(engine, sharing, name, memories.at(-1));
    models.push(last.model);
    const { others, shards, isWhole, ...counts } = last.facts.model ?? ALONE;
    place.path = shards?.path ?? last.facts.path;
    models.unshift(...others.map((other, i) => attachFile(engine, sharing, other, memories[i]).model));
    place.files = models.map(({ path }) => path);
    const [sealed, weights] = [models.slice(0, counts.sealed), models.slice(counts.sealed)];
    const index = shards === null ? indexFile(last.model) : runSync(indexShards(weights, shards));
    for (const model of models) audit?.opened(model);
    return { models: weights, sealed, index, shards, isWhole };
  } catch (error) {
    for (const model of models) closeModel(model);
    const refusal = publicError(error, { path: undefined, names: [] });
    audit?.denied(refusal, place);
    throw refusal;
  }
}

function attachFile(
  engine: Engine,
  sharing: EngineSharing,
  name: string,
  memory: Uint8Array | null | undefined,
): { model: Model; facts: FileFacts } {
  const { source, table, facts: bytes } = sharing.attach(name, (bytes) => decodeFacts(bytes).facts.path);
  const { facts, header: text } = decodeFacts(bytes);
  const { path, byteLength, dataStart, inMemory, encryption, decisions, checks, chunkSizes } = facts;
  const header = parseHeader(text, LENGTH_BYTES + text.length + byteLength - dataStart);
  const attached = { engine, path, header, dataStart, encryption, checks, chunkSizes, table };
  const guard = decisions === null ? null : new TensorGuard(header, null, decisions);
  if (!inMemory) return { model: { ...attached, guard, memory: null, source: source! }, facts };
  if (!isUint8Array(memory) || !isShared(memory) || memory.byteLength !== byteLength) {
    table.dispose();
    throw argumentError('token.memories', `the ${byteLength} bytes of shared memory that share() put there`, memory);
  }
  return { model: { ...attached, guard, memory, source: engine.openBytes(memory) }, facts };
}

function readToken(value: unknown): SharedModel {
  const expected = 'what SafeFile.share() returned';
  if (typeof value !== 'object' || value === null) throw argumentError('token', expected, value);
  const { kind, name, memories } = ownMembers<SharedModel>(value, ['kind', 'name', 'memories']);
  if (kind !== KIND || typeof name !== 'string' || !Array.isArray(memories))
    throw argumentError('token', expected, value);
  return { kind, name, memories: memories as SharedModel['memories'] };
}

function sharingOf(engine: Engine): EngineSharing {
  if (engine.sharing !== null) return engine.sharing;
  throw new CryptoTensorsError(
    'NativeUnavailable',
    'sharing a model between threads needs the native engine; with the portable engine, open the file in each thread',
  );
}
