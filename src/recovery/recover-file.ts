import { openDisk } from '../files/disk.js';
import { findModel } from '../model/folder.js';
import { resolvePath } from '../path-argument.js';
import { runAsync } from '../twin.js';
import { locateModel } from './model-location.js';
import { recoverAt } from './recovery.js';
import type { Recovery } from './recovery.js';

/**
 * Finishes a rewrap that was interrupted by a crash, or removes what it left if it had not begun to change anything. Needs no
 * keys: all that is to be done stands in the journal. `rewrapFile` does the same by itself where it can tell that the process
 * that began is gone; call this where it cannot (`FileBusy`), as after a crash on another machine, once you know that nobody is at
 * work.
 *
 * @param path the file, the index of a sharded model, or the folder of either
 * @returns `nothing` if no rewrap was interrupted, `finished` if the file is the new one now, `undone` if it is the old one
 * @throws {CryptoTensorsError} `FileBusy` if the process that began it still runs on this machine, or if the file is a shard of a
 * model whose rewrap as a whole is not finished: give its index; `FileChanged` if the file was
 * replaced by another one since; `FileError`; `InvalidIndex`
 */
export async function recoverFile(path: string | URL): Promise<Recovery> {
  const model = await runAsync(findModel(resolvePath(path, 'path')));
  const location = await locateModel(model.path);
  const disk = openDisk();
  try {
    return await recoverAt(location, disk, { mayBeAlive: true });
  } finally {
    disk.close();
  }
}
