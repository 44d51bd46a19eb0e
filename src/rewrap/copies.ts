import { realpathSync, statSync } from 'node:fs';
import { copyFile, lstat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import { publicError } from '../model/faults.js';
import { isShardIndex } from '../model/shards.js';
import { runAsync } from '../twin.js';
import { publicWriteError, writeAtomically } from '../writer/atomic-file.js';
import { bodyBytes, writeWithBody } from './body.js';
import { DETACHED_PADDING, FILE_PADDING } from './header.js';
import type { EncryptedModel, NewKeys } from './new-keys.js';
import type { RewrapOptions } from './options.js';
import type { RewrappedFile } from './rewrap-file.js';

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
  refuseItself(path, target);
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
      'options.detached is for single files: the header of a sharded model would be one for each of its shards',
    );
  }
  refuseItself(path, target);
  const [model] = models;
  const { engine } = model!;
  const header = await runAsync(keys.rewrap(model!, DETACHED_PADDING));
  await runAsync(
    // eslint-disable-next-line require-yield -- nothing here takes long
    writeAtomically({ path: target, byteLength: header.length, engine, durable: options.durable }, function* (sink) {
      sink.write(0, header);
    }),
  );
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
      `options.target: the model is sharded, so ${quote(target)} must be the path of an index (*.index.json)`,
    );
  }
  for (const file of [...shards, target]) await refuseExisting(file);
  const written: string[] = [];
  try {
    for (const [i, model] of models.entries()) {
      await writeCopy(model, keys, shards[i]!, options);
      written.push(shards[i]!);
    }
    await copyFile(path, target);
  } catch (error) {
    for (const file of written) await unlink(file).catch(() => undefined);
    throw publicWriteError(error, target);
  }
  return shards.map((shard) => ({ path: shard, how: 'copy' }));
}

async function writeCopy(model: EncryptedModel, keys: NewKeys, target: string, options: RewrapOptions): Promise<void> {
  const { engine, header, path } = model;
  const bytes = await runAsync(keys.rewrap(model, FILE_PADDING));
  const file = {
    path: target,
    byteLength: bytes.length + bodyBytes(model),
    engine,
    durable: options.durable,
    mode: statSync(path!).mode & 0o7777,
  };
  try {
    await runAsync(writeAtomically(file, (sink) => writeWithBody(bytes, model, sink, options)));
  } catch (error) {
    throw publicError(error, { path, names: header.names, signal: options.signal });
  }
}

function refuseItself(path: string, target: string): void {
  if (!isSameFile(path, target)) return;
  throw new CryptoTensorsError(
    'InvalidOption',
    `options.target is the file itself: leave it out, and ${quote(path)} is rewrapped where it is`,
    { path },
  );
}

function isSameFile(path: string, target: string): boolean {
  try {
    return realpathSync(path) === realpathSync(target);
  } catch {
    // The target is not there yet.
    return false;
  }
}

/** A new sharded model must not mix with what is there. */
async function refuseExisting(path: string): Promise<void> {
  const status = await lstat(path).catch(() => null);
  if (status === null) return;
  throw new CryptoTensorsError(
    'FileError',
    `${quote(path)} is already there. Name an index in a folder without the model's files`,
    { path, systemCode: 'EEXIST' },
  );
}
