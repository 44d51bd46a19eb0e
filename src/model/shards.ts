import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quote, quotePath } from '../errors.js';
import { JSON_TEXT, SHARD_INDEX, recogniseFile, withoutBom } from '../format/file-kind.js';
import { weightMapSteps } from '../format/weight-map.js';
import type { Engine } from '../engine/types.js';
import { ITEMS_PER_BREATH, breathe } from '../twin.js';
import type { Twin } from '../twin.js';
import type { Model } from './model.js';
import type { TensorRef } from './tensor-index.js';
import { readRaw, withSource } from './source.js';
import type { TensorIndex } from './tensor-index.js';

/** As many files as a model may have. Each takes a descriptor, and time before any of them is opened. */
const MAX_SHARDS = 10_000;
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
  return yield* parseShardIndex(path, yield* readIndexFile(path, engine));
}

/** All of the file of a shard index, unparsed. */
export function* readIndexFile(path: string, engine: Engine): Twin<Uint8Array> {
  return yield* withSource(engine, { path, names: [] }, function* (source) {
    if (source.size > MAX_INDEX_BYTES) {
      throw invalid(path, `is ${source.size} bytes; an index has at most ${MAX_INDEX_BYTES}`);
    }
    const bytes = new Uint8Array(source.size);
    yield* readRaw(engine, source, 0, bytes);
    return bytes;
  });
}

/** What the bytes of a shard index say. */
export function* parseShardIndex(path: string, bytes: Uint8Array): Twin<ShardIndex> {
  const weightMap = yield* parseWeightMap(path, bytes);
  const directory = dirname(path);
  return { path, weightMap, shardPaths: [...new Set(weightMap.values())].map((name) => join(directory, name)) };
}

function* parseWeightMap(path: string, bytes: Uint8Array): Twin<ReadonlyMap<string, string>> {
  let map: ReadonlyMap<string, string | null> | null;
  try {
    map = yield* weightMapSteps(withoutBom(bytes));
  } catch (error) {
    refuseOtherFile(path, bytes);
    throw new CryptoTensorsError(
      'InvalidIndex',
      `${quotePath(path)} is not a JSON document: ${(error as Error).message}`,
      {
        path,
        cause: error,
      },
    );
  }
  if (map === null) refuseOtherFile(path, bytes);
  if (map === null) throw invalid(path, 'has no "weight_map" object');
  const files = new Set<string>();
  let checked = 0;
  for (const [tensor, file] of map) {
    if (checked++ % ITEMS_PER_BREATH === 0) yield* breathe();
    if (file !== null && files.has(file)) continue;
    // Only a file beside the index: an index must not be able to point anywhere else.
    if (file === null || !isPlainName(file)) {
      throw invalid(
        path,
        `maps ${quote(tensor)} to ${file === null ? 'something else' : quote(file)}, which is not a plain file name`,
      );
    }
    if (files.add(file).size > MAX_SHARDS)
      throw invalid(path, `names more than ${MAX_SHARDS} files, which no model needs`);
  }
  if (files.size === 0) throw invalid(path, 'names no tensor');
  return map as ReadonlyMap<string, string>;
}

/** @throws InvalidIndex if the file is known for something else */
function refuseOtherFile(path: string, bytes: Uint8Array): void {
  const kind = recogniseFile(bytes);
  if (kind === null || kind === JSON_TEXT || kind === SHARD_INDEX) return;
  throw invalid(path, `is no index of a sharded model: it is ${kind}`);
}

export function isPlainName(name: string): boolean {
  return name !== '' && name === basename(name) && name !== '.' && name !== '..' && !/[\\/\0]/.test(name);
}

/** True for the name of a shard index, without a folder. */
export function isIndexName(name: string): boolean {
  return isPlainName(name) && isShardIndex(name);
}

/**
 * Every tensor of the shards by name. Names and files must be exactly what the index says; but what an index that is older than its
 * plain shards does not list is passed over with a warning: for such a model the index says what belongs to it, and nobody vouches for
 * either.
 */
export function* indexShards(models: readonly Model[], shards: ShardIndex): Twin<TensorIndex> {
  const index = new Map<string, TensorRef>();
  const passedOver: string[] = [];
  for (const model of models) {
    const file = basename(model.path!);
    for (const [i, name] of model.header.names.entries()) {
      if (i % ITEMS_PER_BREATH === 0) yield* breathe();
      if (model.encryption === null && !shards.weightMap.has(name)) {
        passedOver.push(name);
        continue;
      }
      if (shards.weightMap.get(name) !== file) throw misplaced(shards, name, file);
      index.set(name, { model, index: i });
    }
  }
  if (passedOver.length > 0) warnOf(passedOver, shards);
  let checked = 0;
  for (const [name, file] of shards.weightMap) {
    if (checked++ % ITEMS_PER_BREATH === 0) yield* breathe();
    if (!index.has(name))
      throw invalid(shards.path, `says that ${quote(file)} holds the tensor ${quote(name)}, but it does not`);
  }
  return index;
}

function misplaced(shards: ShardIndex, name: string, file: string): CryptoTensorsError {
  const expected = shards.weightMap.get(name);
  return invalid(
    shards.path,
    expected === undefined
      ? `does not list the tensor ${quote(name)} of ${quote(file)}, which is encrypted or signed: such a model opens wholly or not at all. ${MAKE_ANEW}`
      : `says that the tensor ${quote(name)} is in ${quote(expected)}, but ${quote(file)} holds one of that name`,
  );
}

/** What brings an index and its shards together again. */
const MAKE_ANEW =
  'Make the index anew: in its "weight_map", every tensor of every shard with the name of that shard\'s file, as `cryptotensors inspect` of each shard lists them';

function warnOf([first, ...others]: readonly string[], { path }: ShardIndex): void {
  const which =
    others.length === 0 ? `the tensor ${quote(first!)}` : `${others.length + 1} tensors, ${quote(first!)} among them,`;
  process.emitWarning(
    `the shard index ${quote(path)} does not list ${which} of its shards: passed over. ${MAKE_ANEW}`,
    { type: 'CryptoTensorsWarning', code: 'STALE_INDEX' },
  );
}

function invalid(path: string, problem: string): CryptoTensorsError {
  return new CryptoTensorsError('InvalidIndex', `the shard index ${quotePath(path)} ${problem}`, { path });
}
