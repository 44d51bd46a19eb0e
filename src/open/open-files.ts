import { CryptoTensorsError, quote } from '../errors.js';
import { getEngine } from '../engine/load.js';
import type { Engine } from '../engine/types.js';
import type { Audit, AuditScope } from '../model/audit.js';
import { resolveInput } from '../model/input.js';
import { closeModel } from '../model/model.js';
import type { Model } from '../model/model.js';
import type { ModelParts } from '../model/model-parts.js';
import { checkAllPins, checkPinCount } from '../model/pin.js';
import { findModel } from '../model/folder.js';
import { indexShards, isShardIndex, readShardIndex } from '../model/shards.js';
import type { ShardIndex } from '../model/shards.js';
import { indexFile } from '../model/tensor-index.js';
import type { TensorIndex } from '../model/tensor-index.js';
import type { PolicyAction } from '../policy/input.js';
import type { Twin } from '../twin.js';
import { option, say } from '../wording.js';
import { createAccess } from './access.js';
import type { Access } from './access.js';
import type { DetachedInput } from './detached.js';
import { checkModelFiles } from './model-files.js';
import { openSealedFiles } from './sealed-files.js';
import { openShards } from './open-shards.js';
import { openStored } from './open-stored.js';
import type { OpenOptions } from './options.js';

/** The files of one model, opened: what a `SafeFile` is made of. */
export interface OpenedFiles extends ModelParts {
  engine: Engine;
  index: TensorIndex;
  audit: Audit | null;
}

/**
 * What a `SafeFile` is made of: every file of a model opened, verified and indexed by tensor name.
 *
 * @param place filled in with the files of a sharded model as soon as they are known
 */
export function* openFiles(
  target: string | Uint8Array,
  options: OpenOptions,
  scope: AuditScope,
  action: PolicyAction,
): Twin<OpenedFiles> {
  const detached = detachedInput(options);
  const engine = getEngine();
  const access = yield* createAccess(options, engine, action);
  const opening: Opening = { engine, access, detached, scope, models: [], sealed: [] };
  const { models, sealed } = opening;
  try {
    const { path, shards, isWhole } = yield* openNamed(target, options.weights, opening);
    const headers = models.map(({ header }) => header);
    checkAllPins(access.pins, engine, headers, scope.path);
    if (shards !== null) checkModelFiles(models, shards);
    const index = shards === null ? indexFile(models[0]!) : yield* indexShards(models, shards);
    if (isWhole) {
      for (const model of yield* openSealedFiles(models[0]!, path!, engine, access, detached)) sealed.push(model);
    }
    for (const model of [...models, ...sealed]) access.audit?.opened(model);
    return { engine, models, sealed, index, shards, isWhole, audit: access.audit };
  } catch (error) {
    for (const model of [...models, ...sealed]) closeModel(model);
    throw error;
  } finally {
    access.dispose();
  }
}

/** A model that is being opened. */
interface Opening {
  engine: Engine;
  access: Access;
  detached: DetachedInput | undefined;
  scope: AuditScope;
  /** What is open by now. */
  models: Model[];
  sealed: Model[];
}

/** Where a model was found. */
interface Found {
  /** Of its file or index; undefined for bytes. */
  path: string | undefined;
  shards: ShardIndex | null;
  isWhole: boolean;
}

/** Opens what a path leads to. That it is a folder is found out by trying, so that nobody else pays for the question. */
function* openNamed(target: string | Uint8Array, weights: string | undefined, opening: Opening): Twin<Found> {
  if (typeof target !== 'string') {
    if (weights === undefined) return yield* openPath(target, false, opening);
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('weights')} is for folders, but the model was given as bytes`,
    );
  }
  if (weights === undefined) {
    try {
      return yield* openPath(target, isShardIndex(target), opening);
    } catch (error) {
      if (!mayBeFolder(error)) throw error;
      const found = yield* findModel(target);
      if (found.path === target) throw error;
    }
  }
  const { path, isWhole } = yield* findModel(target, weights);
  return yield* openPath(path, isWhole, opening);
}

/** What systems say of a folder that is opened as a file. */
function mayBeFolder(error: unknown): boolean {
  return error instanceof CryptoTensorsError && ['EISDIR', 'EACCES', 'EPERM'].includes(error.systemCode ?? '');
}

function* openPath(
  input: string | Uint8Array,
  isWhole: boolean,
  { engine, access, detached, scope, models }: Opening,
): Twin<Found> {
  const path = typeof input === 'string' ? input : undefined;
  if (path === undefined || !isShardIndex(path)) {
    checkPinCount(access.pins, 1, scope.path);
    models.push(yield* openStored(input, engine, access, detached));
    return { path, shards: null, isWhole };
  }
  if (detached !== undefined) throw headerForShards(path, detached);
  const shards = yield* readShardIndex(path, engine);
  scope.files = shards.shardPaths;
  checkPinCount(access.pins, shards.shardPaths.length, path);
  for (const model of yield* openShards(shards, engine, access)) models.push(model);
  return { path, shards, isWhole };
}

function detachedInput({ header, license }: OpenOptions): DetachedInput | undefined {
  if (license !== undefined) return { input: resolveInput(license, 'options.license'), kind: 'license' };
  return header === undefined ? undefined : { input: resolveInput(header, 'options.header'), kind: 'header' };
}

function headerForShards(path: string, { kind }: DetachedInput): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidOption',
    say`${option(kind)} is for a single file, but ${quote(path)} is the index of a sharded model: open its shards one by one, each with its own ${kind}`,
    { path },
  );
}
