import { closeSync, fsyncSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import type { Engine, Sink } from '../engine/types.js';
import { publicError } from '../reader/faults.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';

/**
 * Writes a file so that its path holds either what was there before or all of the new file, never a part: a temporary file
 * beside it, fsync, rename, fsync of the directory. Whatever goes wrong, the temporary file is removed.
 *
 * @throws {CryptoTensorsError} `FileError`
 */
export function* writeAtomically<Result>(
  path: string,
  byteLength: number,
  engine: Engine,
  fill: (sink: Sink) => Twin<Result>,
): Twin<Result> {
  const temporary = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.tmp`);
  let sink: Sink | undefined;
  let renamed = false;
  try {
    sink = createTemporary(temporary, engine);
    sink.allocate(byteLength);
    const result = yield* fill(sink);
    sink.close();
    yield* sync(temporary);
    renameSync(temporary, path);
    renamed = true;
    syncDirectory(dirname(path));
    return result;
  } catch (error) {
    if (isSystemError(error)) {
      throw new CryptoTensorsError('FileError', `${quote(path)} could not be written: ${error.message}`, {
        path,
        systemCode: error.code,
        cause: error,
      });
    }
    throw error;
  } finally {
    if (!renamed) {
      sink?.close();
      removeQuietly(temporary);
    }
  }
}

function createTemporary(path: string, engine: Engine): Sink {
  try {
    return engine.createFile(path, 0o666);
  } catch (error) {
    throw publicError(error, { path, names: [] });
  }
}

/** fsync of a whole model takes seconds: never on the event loop. */
function sync(path: string): Twin<void> {
  return step(
    () => {
      const descriptor = openSync(path, 'r+');
      try {
        fsyncSync(descriptor);
      } finally {
        closeSync(descriptor);
      }
    },
    async () => {
      await using file = await open(path, 'r+');
      await file.sync();
    },
  );
}

/** Makes the rename durable. Directories cannot be opened on Windows, where rename is journalled by itself. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return;
  const descriptor = openSync(directory, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // The error that brought us here says more than this one would.
  }
}

function isSystemError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}
