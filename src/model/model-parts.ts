import { dirname } from 'node:path';
import type { ModelIdentity } from '../format/model-identity.js';
import type { Model } from './model.js';
import type { ShardIndex } from './shards.js';

/** The files of one open model. */
export interface ModelParts {
  /** Files of tensors: one, or the shards. */
  models: readonly Model[];
  /** The files that its signed headers list as stored encrypted, in their order; none where a file was opened by itself. */
  sealed: readonly Model[];
  /** Of a sharded model. */
  shards: ShardIndex | null;
  /** Whether it was named by its folder or its index: then it is all of its files. */
  isWhole: boolean;
}

/** Which model it is, by its signed headers; null where they do not say. */
export function identityOf({ models }: Pick<ModelParts, 'models'>): ModelIdentity | null {
  return models[0]?.encryption?.identity ?? null;
}

/** The folder that the names of its files count from. */
export function folderOf({ models, shards }: Pick<ModelParts, 'models' | 'shards'>): string {
  return dirname(shards?.path ?? models[0]!.path!);
}
