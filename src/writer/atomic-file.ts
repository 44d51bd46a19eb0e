import { chmodSync, closeSync, fsyncSync, openSync, renameSync, unlinkSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import type { Engine, Sink } from '../engine/types.js';
import { isJobFault, publicError } from '../model/faults.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';

/** A file to write. */
export interface AtomicFile {
  path: string;
  byteLength: number;
  engine: Engine;
  /** False: without fsync. A crash of the machine may then lose the new file, but not make half of it visible to processes. */
  durable?: boolean | undefined;
  /** Permissions of the file. Default: what the process's umask leaves of reading and writing for all. */
  mode?: number | undefined;
}

/**
 * Writes a file so that its path holds either what was there before or all of the new file, never a part: a temporary file
 * beside it, fsync, rename, fsync of the directory. Whatever goes wrong, the temporary file is removed.
 *
 * @throws {CryptoTensorsError} `FileError`
 */
export function* writeAtomically<Result>(
  { path, byteLength, engine, durable = true, mode }: AtomicFile,
  fill: (sink: Sink) => Twin<Result>,
): Twin<Result> {
  const temporary = join(dirname(path), `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.tmp`);
  let sink: Sink | undefined;
  let renamed = false;
  try {
    sink = engine.createFile(temporary, mode ?? 0o666);
    // Not subject to the umask, as it was given.
    if (mode !== undefined) chmodSync(temporary, mode);
    yield* prepare(sink, byteLength);
    const result = yield* fill(sink);
    if (durable) yield* flush(sink);
    sink.close();
    renameSync(temporary, path);
    renamed = true;
    if (durable) syncDirectory(dirname(path));
    return result;
  } catch (error) {
    throw publicWriteError(error, path);
  } finally {
    if (!renamed) {
      sink?.close();
      removeQuietly(temporary);
    }
  }
}

/** What went wrong with writing `path`, as the public error. What concerns something else passes through unchanged. */
export function publicWriteError(error: unknown, path: string): unknown {
  if (isWriteFault(error)) return publicError(error, { path, names: [] });
  if (!isSystemError(error)) return error;
  return new CryptoTensorsError('FileError', `${quote(path)} could not be written: ${error.message}`, {
    path,
    systemCode: error.code,
    cause: error,
  });
}

function prepare(sink: Sink, byteLength: number): Twin<void> {
  return step(
    () => sink.allocate(byteLength),
    () => sink.allocateAsync(byteLength),
  );
}

function flush(sink: Sink): Twin<void> {
  return step(
    () => sink.sync(),
    () => sink.syncAsync(),
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

/** Engines begin what they say of a sink with these words; other faults are about what is read. */
function isWriteFault(error: unknown): boolean {
  return (
    isJobFault(error) && error.code === 'FileError' && /^cannot (create|reserve|set|write|flush)/.test(error.message)
  );
}

function isSystemError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}
