import { CryptoTensorsError, quote } from '../errors.js';
import { getEngine } from '../engine/load.js';
import type { Engine } from '../engine/types.js';
import type { Audit, AuditScope } from '../model/audit.js';
import { resolveInput } from '../model/input.js';
import { closeModel } from '../model/model.js';
import type { Model } from '../model/model.js';
import { checkAllPins, checkPinCount } from '../model/pin.js';
import { indexShards, isShardIndex, readShardIndex } from '../model/shards.js';
import type { ShardIndex } from '../model/shards.js';
import { indexFile } from '../model/tensor-index.js';
import type { TensorIndex } from '../model/tensor-index.js';
import type { PolicyAction } from '../policy/input.js';
import type { Twin } from '../twin.js';
import { createAccess } from './access.js';
import type { DetachedInput } from './detached.js';
import { openShards } from './open-shards.js';
import { openStored } from './open-stored.js';
import type { OpenOptions } from './options.js';

/** The files of one model, opened: what a `SafeFile` is made of. */
export interface OpenedFiles {
  engine: Engine;
  models: readonly Model[];
  index: TensorIndex;
  /** Of a sharded model. */
  shards: ShardIndex | null;
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
  const { audit, pins } = access;
  const models: Model[] = [];
  try {
    let shards: ShardIndex | null = null;
    if (typeof target === 'string' && isShardIndex(target)) {
      if (detached !== undefined) throw headerForShards(target, detached);
      shards = yield* readShardIndex(target, engine);
      scope.files = shards.shardPaths;
      checkPinCount(pins, shards.shardPaths.length, target);
      for (const model of yield* openShards(shards, engine, access)) models.push(model);
    } else {
      checkPinCount(pins, 1, scope.path);
      models.push(yield* openStored(target, engine, access, detached));
    }
    checkAllPins(
      pins,
      engine,
      models.map(({ header }) => header),
      scope.path,
    );
    const index = shards === null ? indexFile(models[0]!) : yield* indexShards(models, shards);
    for (const model of models) audit?.opened(model);
    return { engine, models, index, shards, audit };
  } catch (error) {
    for (const model of models) closeModel(model);
    throw error;
  } finally {
    access.dispose();
  }
}

function detachedInput({ header, license }: OpenOptions): DetachedInput | undefined {
  if (license !== undefined) return { input: resolveInput(license, 'options.license'), kind: 'license' };
  return header === undefined ? undefined : { input: resolveInput(header, 'options.header'), kind: 'header' };
}

function headerForShards(path: string, { kind }: DetachedInput): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidOption',
    `options.${kind} is for a single file, but ${quote(path)} is the index of a sharded model: open its shards one by one, each with its own ${kind}`,
    { path },
  );
}
