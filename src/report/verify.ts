import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { basename, join } from 'node:path';
import { compareUtf8 } from '../format/canonical.js';
import { sealedName } from '../format/model-identity.js';
import { part } from '../engine/memory.js';
import { walkFolder } from '../files/walk.js';
import { checkPlainFile } from '../model/side-files.js';
import { folderOf, identityOf } from '../model/model-parts.js';
import type { ModelParts } from '../model/model-parts.js';
import { auditOf, audited } from '../model/audit.js';
import type { Audit } from '../model/audit.js';
import type { Check, Model } from '../model/model.js';
import { INPUT_OPTIONS, open } from '../read/safe-open.js';
import type { SafeOpenOptions } from '../read/safe-open.js';
import type { OpenInput } from '../model/input.js';
import { ownOpenOptions } from '../open/options.js';
import type { ReadOptions } from '../read/options.js';
import { readPlans, wipePart } from '../read/read-tensors.js';
import type { ReadContext } from '../read/read-tensors.js';
import type { SafeFile } from '../read/safe-file.js';
import { checkFunction } from '../options.js';

/** Options of `verifyFile`. */
export interface VerifyOptions extends SafeOpenOptions, Pick<ReadOptions, 'onProgress'> {}

/** What a verification found. It throws where something is wrong; this says what was covered. */
export interface Verification {
  encrypted: boolean;
  /** Key ids of the signers, one per file. */
  signers: (string | null)[];
  /** SHA-256 of each file's canonical header, as the `pin` option takes them. Verified now, as the rest of the header. */
  pins: string[];
  tensors: number;
  bytes: number;
  /** Files beside the weights that belong to the model, by its signed headers, and are what was signed. */
  files: string[];
  /** What else lies in the model's folder: nobody vouches for it. */
  unlisted: string[];
  /** Names of the tensors whose bytes nothing covers: stored in the clear, without a digest. */
  unprotected: string[];
}

/** Memory that tensors are verified in, a piece at a time. */
const SCRATCH_BYTES = 32 * 1024 * 1024;

/**
 * Opens a model and reads every byte of it through its checks, in bounded memory, keeping nothing.
 *
 * @throws the same as `safeOpen` and `SafeFile.getTensors`
 */
export async function verifyFile(input: OpenInput, options: VerifyOptions = {}): Promise<Verification> {
  const own = ownVerifyOptions(options, 'verifyFile');
  return runAsync(verify(input, own));
}

/** `verifyFile`, blocking the calling thread. */
export function verifyFileSync(input: OpenInput, options: VerifyOptions = {}): Verification {
  const own = ownVerifyOptions(options, 'verifyFileSync');
  return runSync(verify(input, own));
}

function ownVerifyOptions(options: unknown, where: string): VerifyOptions {
  const own = ownOpenOptions<VerifyOptions>(options, where, ['onProgress', ...INPUT_OPTIONS]);
  checkFunction(own.onProgress, 'options.onProgress');
  return own;
}

function* verify(input: OpenInput, options: VerifyOptions): Twin<Verification> {
  const file = yield* open(input, options, { lasting: false });
  try {
    const audit = auditOf(options);
    return yield* audited(audit, file.scope, verifyOpened(file, audit, options));
  } finally {
    file.closeNow();
  }
}

function* verifyOpened(
  file: SafeFile,
  audit: Audit | null,
  { threads = 0, signal, onProgress }: VerifyOptions,
): Twin<Verification> {
  const parts = file.parts();
  const all = [...parts.models, ...parts.sealed];
  yield* verifyModels(all, { threads, signal, onProgress, audit });
  const beside = yield* verifySideFiles(parts);
  const unprotected = parts.models.flatMap(({ header, checks }) => header.names.filter((_, i) => checks[i] === 'none'));
  return {
    encrypted: file.encrypted,
    signers: file.signers(),
    pins: file.pins(),
    tensors: file.size,
    bytes: dataBytes(all),
    ...beside,
    unprotected,
  };
}

/** Holds the plain files of a model against its signed headers, and looks for what does not belong to it. */
function* verifySideFiles(parts: ModelParts): Twin<Pick<Verification, 'files' | 'unlisted'>> {
  const { models, shards, isWhole } = parts;
  const identity = identityOf(parts);
  if (identity === null || !isWhole) return { files: [], unlisted: [] };
  const folder = folderOf(parts);
  for (const [name, digest] of identity.plain) {
    const path = join(folder, name);
    yield* checkPlainFile(models[0]!.engine, path, digest);
  }
  const known = new Set([...identity.weights.keys(), ...identity.sealed.map(sealedName), ...identity.plain.keys()]);
  if (shards !== null) known.add(basename(shards.path));
  const { files } = yield* walkFolder(folder);
  const unlisted = files.map(({ name }) => name).filter((name) => !known.has(name));
  return { files: [...identity.sealed, ...identity.plain.keys()].sort(compareUtf8), unlisted };
}

/** Reads every byte that a tag or a digest covers through its check. */
export function* verifyModels(
  models: readonly Model[],
  { threads, signal, onProgress, audit }: Omit<ReadContext, 'engine'>,
): Twin<void> {
  const total = models.reduce((sum, model) => sum + checkedBytes(model), 0);
  let done = 0;
  for (const model of models) {
    const context: ReadContext = { engine: model.engine, threads, signal, onProgress: undefined, audit: null };
    let scratch: Uint8Array = new Uint8Array(0);
    try {
      for (const { copies, byteLength } of verificationBatches(model)) {
        if (scratch.byteLength < byteLength) {
          yield* wipePart(model.engine, scratch);
          scratch = model.engine.allocateUnsafe(byteLength);
        }
        yield* readPlans([{ model, copies, start: 0, byteLength }], part(scratch, 0, byteLength), context);
        done += byteLength;
        onProgress?.(done, total);
      }
    } finally {
      yield* wipePart(model.engine, scratch);
    }
    audit?.wholeFileRead(model, true);
  }
}

/** Bytes of the tensors that something covers. */
export function checkedBytes({ header, checks }: Model): number {
  return checks.reduce((sum, check, i) => (check === 'none' ? sum : sum + header.end[i]! - header.begin[i]!), 0);
}

function dataBytes(models: readonly Model[]): number {
  return models.reduce((sum, { header }) => sum + header.dataBytes, 0);
}

interface Batch {
  copies: Float64Array;
  byteLength: number;
}

/**
 * Cuts a file into reads that fit the scratch memory, at chunk boundaries so that no chunk is read twice. A chunk that is
 * larger than the scratch memory (such as a version 1 tensor) makes a batch of its own. Tensors that nothing covers are left out.
 */
export function* verificationBatches(
  model: Pick<Model, 'header' | 'checks' | 'chunkSizes'>,
  scratch = SCRATCH_BYTES,
): Generator<Batch> {
  let rows: number[] = [];
  let filled = 0;
  for (let i = 0; i < model.header.count; i++) {
    const check: Check = model.checks[i]!;
    if (check === 'none') continue;
    const length = model.header.end[i]! - model.header.begin[i]!;
    const chunk = model.chunkSizes[i] === 0 ? Math.max(1, length) : model.chunkSizes[i]!;
    let start = 0;
    do {
      const room = Math.max(0, Math.floor((scratch - filled) / chunk)) * chunk;
      const piece = Math.min(length - start, room);
      const fits = piece > 0 || length === 0;
      if (!fits && filled > 0) {
        yield { copies: Float64Array.from(rows), byteLength: filled };
        rows = [];
        filled = 0;
        continue;
      }
      const take = fits ? piece : Math.min(chunk, length - start);
      rows.push(i, start, take, filled);
      filled += take;
      start += take;
    } while (start < length);
  }
  if (rows.length > 0) yield { copies: Float64Array.from(rows), byteLength: filled };
}
