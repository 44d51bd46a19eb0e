import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quotePath } from '../errors.js';
import type { FileStatus } from '../engine/types.js';
import { publicWriteError, writeAtomically, writeBytesAtomically } from '../files/atomic-write.js';
import { removeOwn } from '../files/remove-own.js';
import { linkStatusOf, realPath } from '../files/status.js';
import { taken } from '../files/target.js';
import { publicError } from '../model/faults.js';
import { indexShards, isShardIndex, parseShardIndex, readIndexFile } from '../model/shards.js';
import { runAsync } from '../twin.js';
import { bodyBytes, writeWithBody } from './body.js';
import { DETACHED_PADDING, FILE_PADDING } from './header.js';
import type { EncryptedModel, NewKeys } from './new-keys.js';
import type { RewrapOptions } from './options.js';
import type { RewrappedFile } from './options.js';
import { option, say } from '../wording.js';
import { withoutPrototype } from '../options.js';

interface Copies {
  path: string;
  target: string;
  options: RewrapOptions;
}

/** Writes the model anew, with other headers. */
export async function writeCopies(
  models: readonly EncryptedModel[],
  keys: NewKeys,
  { path, target, options }: Copies,
): Promise<RewrappedFile[]> {
  if (isShardIndex(path)) return writeShards(models, keys, { path, target, options });
  await refuseItself(path, target);
  await writeCopy(models[0]!, keys, target, options);
  return [{ path: target, how: 'copy' }];
}

/** Writes the new header by itself. */
export async function writeDetached(
  models: readonly EncryptedModel[],
  keys: NewKeys,
  { path, target, options }: Copies,
): Promise<RewrappedFile[]> {
  if (isShardIndex(path)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('detached')} is for single files: the header of a sharded model would be one for each of its shards`,
    );
  }
  await refuseItself(path, target);
  const [model] = models;
  const { engine, source } = model!;
  const header = await runAsync(keys.rewrap(model!, DETACHED_PADDING));
  const file = { path: target, engine, durable: options.durable, like: source.status() };
  await runAsync(writeBytesAtomically(file, header));
  return [{ path: target, how: 'detached' }];
}

/** The shards under their names in the folder of `target`, then the index: it is there when all of them are. */
async function writeShards(
  models: readonly EncryptedModel[],
  keys: NewKeys,
  { path, target, options }: Copies,
): Promise<RewrappedFile[]> {
  const folder = dirname(target);
  const shards = models.map((model) => join(folder, basename(model.path!)));
  if (!isShardIndex(target)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('target')}: the model is sharded, so ${quotePath(target)} must be the path of an index (*.index.json)`,
    );
  }
  // A new sharded model must not mix with what is there; asked again when each file takes its name.
  for (const file of [...shards, target]) {
    if (linkStatusOf(file) !== null) throw taken(file, ELSEWHERE);
  }
  const { engine } = models[0]!;
  // What stands under the name by now can be another index than the one that the model was opened by.
  const index = await runAsync(readIndexFile(path, engine));
  await runAsync(indexShards(models, await runAsync(parseShardIndex(path, index))));
  const written = new Map<string, FileStatus | null>();
  try {
    for (const [i, model] of models.entries()) {
      written.set(shards[i]!, await writeCopy(model, keys, shards[i]!, { ...options, exclusive: true }));
    }
    await runAsync(writeBytesAtomically({ path: target, engine, durable: options.durable, exclusive: true }, index));
  } catch (error) {
    for (const [file, own] of written) removeOwn(file, own);
    throw publicWriteError(error, target);
  }
  return shards.map((shard) => ({ path: shard, how: 'copy' }));
}

const ELSEWHERE = "Name an index in a folder without the model's files";

/** Returns what the new file is known by. */
async function writeCopy(
  model: EncryptedModel,
  keys: NewKeys,
  target: string,
  options: RewrapOptions & { exclusive?: boolean },
): Promise<FileStatus | null> {
  const { exclusive = false, durable } = withoutPrototype(options);
  const { engine, header, path, source } = model;
  const bytes = await runAsync(keys.rewrap(model, FILE_PADDING));
  const byteLength = bytes.length + bodyBytes(model);
  const file = { path: target, byteLength, engine, durable, like: source.status(), exclusive };
  try {
    return await runAsync(
      writeAtomically(file, function* (sink) {
        yield* writeWithBody(bytes, model, sink, options);
        return sink.status();
      }),
    );
  } catch (error) {
    throw publicError(error, { path, names: header.names, signal: options.signal });
  }
}

async function refuseItself(path: string, target: string): Promise<void> {
  const [real, other] = [await runAsync(realPath(path)), await runAsync(realPath(target))];
  // The target may not be there yet.
  if (real === null || real !== other) return;
  throw new CryptoTensorsError(
    'InvalidOption',
    say`${option('target')} is the file itself: leave it out, and ${quotePath(path)} is rewrapped where it is`,
    { path },
  );
}
