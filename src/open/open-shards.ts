import type { Engine } from '../engine/types.js';
import type { Twin } from '../twin.js';
import type { Access } from './access.js';
import { fingerprint, isOfHeader, shardViews } from '../recovery/interrupted.js';
import type { ShardView } from '../recovery/interrupted.js';
import { journalOf } from '../recovery/page.js';
import { closeModel } from '../model/model.js';
import type { Model } from '../model/model.js';
import { openStored } from './open-stored.js';
import type { ShardIndex } from '../model/shards.js';
import { hasOwn } from '../options.js';

/** As often a model is opened anew that is rewrapped meanwhile. */
const MAX_ATTEMPTS = 10;

/**
 * Opens all shards of a model, in the order of the index. A rewrap that is under way or was interrupted shows as all of them new or
 * all old, never as a mixture.
 */
export function* openShards(shards: ShardIndex, engine: Engine, access: Access): Twin<Model[]> {
  const files = [journalOf(shards.path), ...shards.shardPaths];
  for (let attempt = 1; ; attempt++) {
    const before = yield* fingerprint(files);
    const opened = yield* openViews(shards, engine, access);
    const isSettled = attempt === MAX_ATTEMPTS || (yield* fingerprint(files)) === before;
    if (hasOwn(opened, 'models')) {
      if (isSettled) return opened.models;
      for (const model of opened.models) closeModel(model);
    } else if (isSettled) {
      throw opened.failure;
    }
  }
}

function* openViews(
  { path, shardPaths }: ShardIndex,
  engine: Engine,
  access: Access,
): Twin<{ models: Model[] } | { failure: unknown }> {
  const own = shardPaths.map((shard): ShardView => ({ path: shard, header: undefined }));
  let failure: unknown;
  for (const views of (yield* shardViews(path, shardPaths, engine)) ?? [own]) {
    try {
      return { models: yield* openAll(views, shardPaths, engine, access) };
    } catch (error) {
      // What the best view was refused for says more than what an older one is.
      failure ??= error;
      if (!isOfHeader(error)) break;
    }
  }
  return { failure };
}

function* openAll(
  views: readonly ShardView[],
  shardPaths: readonly string[],
  engine: Engine,
  access: Access,
): Twin<Model[]> {
  const models: Model[] = [];
  try {
    for (const [i, view] of views.entries()) {
      const model = yield* openStored(view.path, engine, access, view.header && { input: view.header, kind: 'header' });
      models.push({ ...model, path: shardPaths[i] });
    }
    return models;
  } catch (error) {
    for (const model of models) closeModel(model);
    throw error;
  }
}
