import { close, closeSync, constants, fstat, fstatSync, open, openSync, read, readSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import { CryptoTensorsError, quote } from '../errors.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { inheritedDescriptor, readPipe } from './read-pipe.js';
import { kindOf } from './status.js';
import { fileError, systemCodeOf } from './system-error.js';
import { withoutPrototype } from '../options.js';

const openAsync = promisify(open);
const readAsync = promisify(read);
const closeAsync = promisify(close);
const fstatAsync = promisify(fstat) as (descriptor: number, options: { bigint: true }) => Promise<BigIntStats>;

export interface BoundedRead {
  /** Bytes; a longer file is refused before a byte of it is read. */
  limit: number;
  /** Whether a symbolic link is followed. Default: yes. */
  links?: 'follow' | 'refuse';
  /**
   * Whether a pipe that this process was given (`<(…)` of a shell, `/dev/stdin`) is read to its end. A pipe with a name in a folder
   * never is: its opening waits for a writer, who may never come. Default: no.
   */
  pipes?: boolean;
  /** What the file is to be, for messages: `key file`. */
  what?: string;
  /** What a file that is too long may be instead, for the message. */
  advice?: string;
  /** Wipes what was read when the rest cannot be: for secrets. */
  wipe?: (bytes: Uint8Array) => void;
}

/**
 * Reads all of a regular file into memory of its own: not a piece of Node's shared pool. Devices, folders, and pipes and sockets unless
 * they are asked for, are refused without waiting for them, and no more is ever read than was there at opening.
 *
 * @throws {CryptoTensorsError} `FileError` with `path` and, where the system gave one, `systemCode`
 */
export function* readBounded(path: string, given: BoundedRead): Twin<Uint8Array> {
  const options = withoutPrototype(given);
  let descriptor: number | null = null;
  let isOurs = true;
  let bytes: Uint8Array | null = null;
  try {
    const flags = options.links === 'refuse' ? OPEN_FLAGS | NOFOLLOW : OPEN_FLAGS;
    const inherited = options.pipes === true ? inheritedDescriptor(path) : null;
    try {
      descriptor = yield* step(
        () => openSync(path, flags),
        () => openAsync(path, flags),
      );
    } catch (error) {
      // A socket, which some parents make of stdin, cannot be opened by its path.
      if (inherited === null || systemCodeOf(error) !== 'ENXIO') throw error;
      descriptor = inherited;
      isOurs = false;
    }
    const opened = descriptor;
    const status = yield* step(
      () => fstatSync(opened, { bigint: true }),
      () => fstatAsync(opened, { bigint: true }),
    );
    // A pipe that has a name only is refused: a reader would wait for a writer who may never come.
    if (inherited !== null && (status.isFIFO() || status.isSocket())) {
      return yield* readPipe(opened, path, options.limit, options.wipe ?? (() => undefined));
    }
    bytes = allocate(path, status, options);
    const length = yield* fill(opened, bytes);
    return bytes.subarray(0, length);
  } catch (error) {
    if (bytes !== null) options.wipe?.(bytes);
    throw fileError(path, 'read', error);
  } finally {
    if (descriptor !== null && isOurs) yield* closeQuietly(descriptor);
  }
}

/** Without O_NONBLOCK, opening a FIFO waits for somebody to write to it. Windows has neither. */
const OPEN_FLAGS = constants.O_RDONLY | ((constants.O_NONBLOCK as number | undefined) ?? 0);
const NOFOLLOW = (constants.O_NOFOLLOW as number | undefined) ?? 0;

function tooLong(
  path: string,
  found: string,
  {
    limit,
    what = 'file',
    advice,
  }: Pick<BoundedRead, 'limit'> & { what: string | undefined; advice: string | undefined },
): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileError',
    `${what} ${quote(path)} has ${found} bytes, but at most ${limit} are read${advice === undefined ? '' : `: ${advice}`}`,
    { path, expected: `at most ${limit} bytes`, found: `${found} bytes` },
  );
}

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
    throw tooLong(path, String(status.size), { limit, what, advice });
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
