import { join } from 'node:path';
import { isIndexName } from '../model/shards.js';
import type { Storage } from '../files/storage.js';
import { findLock } from './lock.js';
import { journalOf } from './page.js';
import type { WholeModel } from './page.js';
import type { ModelLocation } from './model-location.js';

/**
 * Whether the rewrap of a whole model is over, by the mark that it left on one of its shards. The journal is looked for by its name
 * in the folders that the shard is found in, and nowhere else: the folder that the mark names is only compared.
 *
 * @returns false if it is not over, or if that cannot be told from here
 */
export async function settleMark(
  whole: WholeModel,
  { folders, members }: ModelLocation,
  storage: Storage,
): Promise<boolean> {
  if (!isIndexName(whole.index)) return true;
  for (const folder of folders) {
    const lock = await findLock(
      journalOf(join(folder, whole.index)),
      members.map(({ path }) => path),
      storage,
    );
    lock?.file.close();
    if (lock?.token === whole.token) return false;
  }
  return folders.includes(whole.folder);
}
