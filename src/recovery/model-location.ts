import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quote, quotePath } from '../errors.js';
import { getEngine } from '../engine/load.js';
import { existingTarget, targetAsNamed } from '../files/target.js';
import { isShardIndex, readShardIndex } from '../model/shards.js';
import { runAsync } from '../twin.js';
import { journalOf } from './page.js';
import type { WholeModel } from './page.js';

/** A model where it is stored: what a rewrap changes as a whole. */
export interface ModelLocation {
  /** As it was given. */
  path: string;
  journal: string;
  /** The folders that it is found in: its own, and that of the path as it was given, which may be a link's. */
  folders: readonly string[];
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
export async function locateModel(path: string): Promise<ModelLocation> {
  const folder = dirname(targetAsNamed(path));
  if (!isShardIndex(path)) return locationOfFile(path, existingTarget(path), folder);
  const index = join(folder, basename(path));
  const { shardPaths } = await runAsync(readShardIndex(index, getEngine()));
  const members: Member[] = [];
  for (const shard of shardPaths) members.push({ name: basename(shard), path: existingTarget(shard) });
  refuseTwins(path, members);
  return { path, journal: journalOf(index), folders: [folder], members, sharded: true };
}

/** A file by itself. @param folder that of the path by which it was found */
export function locationOfFile(path: string, real: string, folder: string): ModelLocation {
  const own = dirname(real);
  const folders = folder === own ? [own] : [own, folder];
  return { path, journal: journalOf(real), folders, members: [{ name: basename(real), path: real }], sharded: false };
}

/** The model as a mark on one of its shards names it. */
export function wholeModel({ path, folders }: ModelLocation, token: string): WholeModel {
  return { token, index: basename(path), folder: folders[0]! };
}

/** Whether a mark speaks of this model. */
export function isAtLocation(whole: WholeModel, location: ModelLocation): boolean {
  return whole.index === basename(location.path) && whole.folder === location.folders[0];
}

/** Two names for one file would be rewrapped twice. */
function refuseTwins(path: string, members: readonly Member[]): void {
  const seen = new Map<string, string>();
  for (const { name, path: file } of members) {
    const other = seen.get(file);
    if (other !== undefined) {
      throw new CryptoTensorsError(
        'InvalidIndex',
        `the shard index ${quotePath(path)} names ${quote(other)} and ${quote(name)}, which are links to one file`,
        { path },
      );
    }
    seen.set(file, name);
  }
}
