import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import { parseJsonDocument } from '../format/json.js';
import type { Engine } from '../engine/types.js';
import type { Twin } from '../twin.js';
import { publicError } from './faults.js';
import type { Model } from './model.js';
import type { TensorRef } from './tensor-index.js';
import { openSource, readRaw } from './source.js';
import type { TensorIndex } from './tensor-index.js';

/** An index of a sharded model is a few megabytes at the most. */
const MAX_INDEX_BYTES = 100_000_000;

/** True for the path of a shard index as Hugging Face writes it: `model.safetensors.index.json`. */
export function isShardIndex(path: string): boolean {
  return path.endsWith('.index.json');
}

/** A shard index: `{"metadata":{…},"weight_map":{"tensor":"model-00001-of-00002.safetensors",…}}`. */
export interface ShardIndex {
  path: string;
  /** File name of each tensor's shard. */
  weightMap: ReadonlyMap<string, string>;
  /** Paths of the shards, in the order in which they are first named. */
  shardPaths: readonly string[];
}

/**
 * Reads a shard index. It is neither signed nor trusted: it names files beside itself, and `indexTensors` holds it against
 * what the (verified) shards contain.
 */
export function* readShardIndex(path: string, engine: Engine): Twin<ShardIndex> {
  let bytes: Uint8Array;
  try {
    const source = yield* openSource(path, engine);
    try {
      if (source.size > MAX_INDEX_BYTES) {
        throw invalid(path, `is ${source.size} bytes; an index has at most ${MAX_INDEX_BYTES}`);
      }
      bytes = new Uint8Array(source.size);
      yield* readRaw(engine, source, 0, bytes);
    } finally {
      source.close();
    }
  } catch (error) {
    throw publicError(error, { path, names: [] });
  }
  const weightMap = parseWeightMap(path, bytes);
  const directory = dirname(path);
  return { path, weightMap, shardPaths: [...new Set(weightMap.values())].map((name) => join(directory, name)) };
}

function parseWeightMap(path: string, bytes: Uint8Array): Map<string, string> {
  let document: unknown;
  try {
    document = parseJsonDocument(bytes);
  } catch (error) {
    throw new CryptoTensorsError('InvalidIndex', `${quote(path)} is not a JSON document: ${(error as Error).message}`, {
      path,
      cause: error,
    });
  }
  const map: unknown = document instanceof Map ? document.get('weight_map') : undefined;
  if (!(map instanceof Map)) throw invalid(path, 'has no "weight_map" object');
  const weightMap = new Map<string, string>();
  for (const [tensor, file] of map as Map<string, unknown>) {
    // Only a file beside the index: an index must not be able to point anywhere else.
    if (typeof file !== 'string' || !isPlainName(file)) {
      throw invalid(
        path,
        `maps ${quote(tensor)} to ${typeof file === 'string' ? quote(file) : 'something else'}, which is not a plain file name`,
      );
    }
    weightMap.set(tensor, file);
  }
  if (weightMap.size === 0) throw invalid(path, 'names no tensor');
  return weightMap;
}

export function isPlainName(name: string): boolean {
  return name !== '' && name === basename(name) && name !== '.' && name !== '..' && !/[\\/\0]/.test(name);
}

/** Every tensor of the shards by name. Names and files must be exactly what the index says. */
export function indexShards(models: readonly Model[], shards: ShardIndex): TensorIndex {
  const index = new Map<string, TensorRef>();
  for (const model of models) {
    for (const [i, name] of model.header.names.entries()) {
      checkAgainst(shards, name, model);
      index.set(name, { model, index: i });
    }
  }
  for (const [name, file] of shards.weightMap) {
    if (!index.has(name))
      throw invalid(shards.path, `says that ${quote(file)} holds the tensor ${quote(name)}, but it does not`);
  }
  return index;
}

function checkAgainst(shards: ShardIndex, name: string, model: Model): void {
  const file = basename(model.path!);
  const expected = shards.weightMap.get(name);
  if (expected === file) return;
  throw invalid(
    shards.path,
    expected === undefined
      ? `does not list the tensor ${quote(name)} of ${quote(file)}`
      : `says that the tensor ${quote(name)} is in ${quote(expected)}, but ${quote(file)} holds one of that name`,
  );
}

function invalid(path: string, problem: string): CryptoTensorsError {
  return new CryptoTensorsError('InvalidIndex', `the shard index ${quote(path)} ${problem}`, { path });
}
