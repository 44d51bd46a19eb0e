import { close, closeSync, constants, fstat, fstatSync, open, openSync, read, readSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import { CryptoTensorsError, quote } from '../errors.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { kindOf } from './status.js';
import { fileError } from './system-error.js';

const openAsync = promisify(open);
const readAsync = promisify(read);
const closeAsync = promisify(close);
const fstatAsync = promisify(fstat) as (descriptor: number, options: { bigint: true }) => Promise<BigIntStats>;

export interface BoundedRead {
  /** Bytes; a longer file is refused before a byte of it is read. */
  limit: number;
  /** Whether a symbolic link is followed. Default: yes. */
  links?: 'follow' | 'refuse';
  /** What the file is to be, for messages: `key file`. */
  what?: string;
  /** What a file that is too long may be instead, for the message. */
  advice?: string;
  /** Wipes what was read when the rest cannot be: for secrets. */
  wipe?: (bytes: Uint8Array) => void;
}

/**
 * Reads all of a regular file into memory of its own: not a piece of Node's shared pool. Devices, pipes, sockets and folders are
 * refused without waiting for them, and no more is ever read than was there at opening.
 *
 * @throws {CryptoTensorsError} `FileError` with `path` and, where the system gave one, `systemCode`
 */
export function* readBounded(path: string, options: BoundedRead): Twin<Uint8Array> {
  let descriptor: number | null = null;
  let bytes: Uint8Array | null = null;
  try {
    const flags = options.links === 'refuse' ? OPEN_FLAGS | NOFOLLOW : OPEN_FLAGS;
    descriptor = yield* step(
      () => openSync(path, flags),
      () => openAsync(path, flags),
    );
    const opened = descriptor;
    const status = yield* step(
      () => fstatSync(opened, { bigint: true }),
      () => fstatAsync(opened, { bigint: true }),
    );
    bytes = allocate(path, status, options);
    const length = yield* fill(opened, bytes);
    return bytes.subarray(0, length);
  } catch (error) {
    if (bytes !== null) options.wipe?.(bytes);
    throw fileError(path, 'read', error);
  } finally {
    if (descriptor !== null) yield* closeQuietly(descriptor);
  }
}

/** Without O_NONBLOCK, opening a FIFO waits for somebody to write to it. Windows has neither. */
const OPEN_FLAGS = constants.O_RDONLY | ((constants.O_NONBLOCK as number | undefined) ?? 0);
const NOFOLLOW = (constants.O_NOFOLLOW as number | undefined) ?? 0;

function allocate(path: string, status: BigIntStats, { limit, what = 'file', advice }: BoundedRead): Uint8Array {
  if (!status.isFile()) {
    const found = kindOf(status);
    throw new CryptoTensorsError('FileError', `${what} ${quote(path)} must be a regular file, but is ${found}`, {
      path,
      expected: 'a regular file',
      found,
    });
  }
  if (status.size > BigInt(limit)) {
    throw new CryptoTensorsError(
      'FileError',
      `${what} ${quote(path)} has ${status.size} bytes, but at most ${limit} are read${advice === undefined ? '' : `: ${advice}`}`,
      { path, expected: `at most ${limit} bytes`, found: `${status.size} bytes` },
    );
  }
  return new Uint8Array(Number(status.size));
}

function* fill(descriptor: number, bytes: Uint8Array): Twin<number> {
  let length = 0;
  while (length < bytes.length) {
    const [from, wanted] = [length, bytes.length - length];
    const count = yield* step(
      () => readSync(descriptor, bytes, from, wanted, from),
      async () => (await readAsync(descriptor, bytes, from, wanted, from)).bytesRead,
    );
    if (count === 0) break;
    length += count;
  }
  return length;
}

/** What was read is read. */
function* closeQuietly(descriptor: number): Twin<void> {
  try {
    yield* step(
      () => closeSync(descriptor),
      () => closeAsync(descriptor),
    );
  } catch {
    // Nothing was written that could be lost.
  }
}
