import { realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import { getEngine } from '../engine/load.js';
import { journalOf } from '../recovery/journal.js';
import { isShardIndex, readShardIndex } from '../model/shards.js';
import { runAsync } from '../twin.js';
import { publicWriteError } from '../writer/atomic-file.js';

/** A model where it is stored: what a rewrap changes as a whole. */
export interface Place {
  /** As it was given. */
  path: string;
  journal: string;
  /** Its files; of a sharded model the shards. */
  members: readonly Member[];
  sharded: boolean;
}

export interface Member {
  /** What the journal calls it: the name in the shard index, or the last part of the path. */
  name: string;
  /** The file itself, behind symbolic links. */
  path: string;
}

/**
 * Finds the files of a model. The journal of a file lies beside the file itself; that of a sharded model beside the index as it was
 * given, because the names in it count from there (in a cache of models both may be links into a store of their own).
 *
 * @throws {CryptoTensorsError} `FileError`, `InvalidIndex`
 */
export async function findPlace(path: string): Promise<Place> {
  if (!isShardIndex(path)) {
    const real = await realPath(path);
    return { path, journal: journalOf(real), members: [{ name: basename(real), path: real }], sharded: false };
  }
  const index = join(await realPath(dirname(path)), basename(path));
  const { shardPaths } = await runAsync(readShardIndex(index, getEngine()));
  const members: Member[] = [];
  for (const shard of shardPaths) members.push({ name: basename(shard), path: await realPath(shard) });
  refuseTwins(path, members);
  return { path, journal: journalOf(index), members, sharded: true };
}

/** Two names for one file would be rewrapped twice. */
function refuseTwins(path: string, members: readonly Member[]): void {
  const seen = new Map<string, string>();
  for (const { name, path: file } of members) {
    const other = seen.get(file);
    if (other !== undefined) {
      throw new CryptoTensorsError(
        'InvalidIndex',
        `the shard index ${quote(path)} names ${quote(other)} and ${quote(name)}, which are links to one file`,
        { path },
      );
    }
    seen.set(file, name);
  }
}

async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw publicWriteError(error, path);
    throw new CryptoTensorsError('FileError', `${quote(path)}: ${message}`, { path, systemCode: code, cause: error });
  }
}
