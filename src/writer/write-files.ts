import { dirname, join } from 'node:path';
import { NewFolder } from '../files/new-folder.js';
import { runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import type { WorkOptions } from './options.js';
import { TotalProgress } from './total-progress.js';

/** A file of a model that is to be written. */
export interface FileToWrite {
  /** Relative to the model's folder, with `/`. */
  name: string;
  /** What it counts in the progress of the whole. */
  byteLength: number;
  write(path: string, onProgress: WorkOptions['onProgress']): Twin<void>;
}

/** So many are worked on at once: their threads are those of one pool, and each takes a few megabytes. */
const AT_ONCE = 3;

/**
 * Writes all files of a model, some at once, into a new folder that is there when they all are.
 *
 * @throws {CryptoTensorsError} `FileError`, with `EEXIST` where something stands under the name; what writing a file throws
 */
export async function writeFiles(
  files: readonly FileToWrite[],
  target: string,
  { onProgress, durable }: WorkOptions,
): Promise<void> {
  const folder = NewFolder.create(target);
  try {
    for (const { name } of files) if (name.includes('/')) folder.makeFolder(dirname(name));
    const progress = new TotalProgress(
      files.map(({ byteLength }) => byteLength),
      onProgress,
    );
    await inParallel(files, (file, i) => runAsync(file.write(join(folder.path, file.name), progress.of(i))));
    await runAsync(folder.claimTarget(durable !== false));
  } finally {
    folder.release();
  }
}

/** Does the work for each item; the first failure is thrown once nothing is under way any more. */
async function inParallel<Item>(
  items: readonly Item[],
  work: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    while (failures.length === 0 && next < items.length) {
      const index = next++;
      try {
        await work(items[index]!, index);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  if (failures.length > 0) throw failures[0];
}
