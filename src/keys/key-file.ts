import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { CryptoTensorsError, quote } from '../errors.js';
import type { Engine } from '../engine/types.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';

/** Far above any set of keys; a path that points at a model by mistake is refused before it fills the memory. */
export const MAX_KEY_FILE_BYTES = 16 * 1024 * 1024;

/** Without O_NONBLOCK, opening a FIFO waits for somebody to write to it. Windows has neither. */
const OPEN_FLAGS = constants.O_RDONLY | (process.platform === 'win32' ? 0 : constants.O_NONBLOCK);

/**
 * Reads a key file into memory of its own, which the caller wipes.
 *
 * @throws FileError with `path` and, where the system gave one, `systemCode`
 */
export function* readKeyFile(path: string, engine: Engine): Twin<Uint8Array> {
  return yield* step(
    () => readSyncWiping(path, engine),
    () => readWiping(path, engine),
  );
}

async function readWiping(path: string, engine: Engine): Promise<Uint8Array> {
  const file = await open(path, OPEN_FLAGS).catch((error: unknown) => {
    throw keyFileError(path, error);
  });
  let bytes: Uint8Array | undefined;
  try {
    bytes = allocate(await file.stat(), path);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } catch (error) {
    if (bytes !== undefined) engine.wipe(bytes);
    throw keyFileError(path, error);
  } finally {
    await file.close();
  }
}

function readSyncWiping(path: string, engine: Engine): Uint8Array {
  let descriptor: number | undefined;
  let bytes: Uint8Array | undefined;
  try {
    descriptor = openSync(path, OPEN_FLAGS);
    bytes = allocate(fstatSync(descriptor), path);
    let length = 0;
    while (length < bytes.length) {
      const bytesRead = readSync(descriptor, bytes, length, bytes.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return bytes.subarray(0, length);
  } catch (error) {
    if (bytes !== undefined) engine.wipe(bytes);
    throw keyFileError(path, error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** A buffer of its own: not a piece of Node's shared pool, where a key would outlive its use. */
function allocate(stats: Stats, path: string): Uint8Array {
  if (!stats.isFile()) {
    throw new CryptoTensorsError(
      'FileError',
      `key file ${quote(path)} must be a regular file, but is ${kindOf(stats)}`,
      {
        path,
      },
    );
  }
  if (stats.size > MAX_KEY_FILE_BYTES) {
    throw new CryptoTensorsError(
      'FileError',
      `key file ${quote(path)} has ${stats.size} bytes, but at most ${MAX_KEY_FILE_BYTES} are read: is it a JWK set?`,
      { path, expected: `at most ${MAX_KEY_FILE_BYTES} bytes`, found: `${stats.size} bytes` },
    );
  }
  return new Uint8Array(stats.size);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a pipe';
  return 'a device or socket';
}

/** A failure of the file system, in this library's words. */
export function keyFileError(path: string, error: unknown): CryptoTensorsError {
  if (error instanceof CryptoTensorsError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const reason = code === 'ENOENT' ? 'there is no such file' : `the system says ${code ?? 'nothing more'}`;
  return new CryptoTensorsError('FileError', `cannot read key file ${quote(path)}: ${reason}`, {
    path,
    ...(code === undefined ? {} : { systemCode: code }),
    cause: error,
  });
}
