import type { Engine } from '../engine/types.js';
import { runSync } from '../twin.js';
import { flushFolder, publicWriteError } from './atomic-write.js';
import { openTarget } from './target.js';
import type { Target } from './target.js';
import { TemporaryFile } from './temporary-file.js';

/** A small file that is not to replace anything. */
export interface SmallFile {
  path: string;
  /** Permissions, less the umask. */
  mode: number;
  /** Wiped in the end: they may be secret. */
  bytes: Uint8Array;
}

/**
 * Writes new files, all of them or none, flushed. Never over what is there, and never through a symbolic link: each takes its name
 * when all are written, and only if nothing stands under it.
 *
 * @throws {CryptoTensorsError} `FileError`, with `EEXIST` for a path that is taken
 */
export function writeNewFiles(files: readonly SmallFile[], engine: Engine): void {
  const targets: Target[] = [];
  try {
    for (const { path } of files) targets.push(openTarget(path, { last: 'refuse' }));
    writeAll(files, targets, engine);
    for (const target of targets) runSync(flushFolder(target));
  } finally {
    for (const { folder } of targets) folder.close();
    for (const { bytes } of files) engine.wipe(bytes);
  }
}

function writeAll(files: readonly SmallFile[], targets: readonly Target[], engine: Engine): void {
  const made: TemporaryFile[] = [];
  const named: TemporaryFile[] = [];
  try {
    for (const [i, file] of files.entries()) {
      const temporary = TemporaryFile.create(targets[i]!, engine, { mode: file.mode });
      made.push(temporary);
      fill(temporary, file);
    }
    for (const temporary of made) {
      temporary.claimTarget();
      named.push(temporary);
    }
  } catch (error) {
    for (const temporary of named) temporary.giveUpName();
    throw error;
  } finally {
    for (const temporary of made) temporary.release();
  }
}

function fill({ sink }: TemporaryFile, { path, bytes }: SmallFile): void {
  try {
    sink.write(0, bytes);
    sink.sync();
  } catch (error) {
    throw publicWriteError(error, path);
  }
}
