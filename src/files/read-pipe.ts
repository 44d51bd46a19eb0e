import { read, readSync } from 'node:fs';
import { promisify } from 'node:util';
import { CryptoTensorsError, quote } from '../errors.js';
import { asSystemError } from '../engine/system-codes.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';

const readAsync = promisify(read);

const FIRST_PIECE_BYTES = 64 * 1024;
const PAUSE_MS = 5;
/** Somebody may be typing the password that what writes to the pipe asks for. */
const MAX_SILENCE_MS = 60_000;
/** A named pipe that nobody has opened for writing yet looks like one that was closed. */
const MAX_WAIT_FOR_WRITER_MS = 2_000;

/**
 * Reads a pipe or socket to its end, once, into memory of its own. Its descriptor need not block: the system says "not yet" of an empty
 * pipe then, and the event loop is free meanwhile.
 *
 * @param limit bytes; a pipe that gives more is refused
 * @param wipe for what was read and is not the result
 * @throws {CryptoTensorsError} `FileError` for too much, and for silence; whatever the system throws
 */
export function* readPipe(
  descriptor: number,
  path: string,
  limit: number,
  wipe: (bytes: Uint8Array) => void,
): Twin<Uint8Array> {
  let bytes = new Uint8Array(new ArrayBuffer(Math.min(FIRST_PIECE_BYTES, limit + 1)));
  let length = 0;
  let silentMs = 0;
  let done = false;
  try {
    for (;;) {
      const count = yield* readSome(descriptor, bytes, length);
      if (count === null || (count === 0 && length === 0)) {
        if (silentMs >= (count === null ? MAX_SILENCE_MS : MAX_WAIT_FOR_WRITER_MS)) throw silent(path);
        yield* pause();
        silentMs += PAUSE_MS;
        continue;
      }
      if (count === 0) break;
      silentMs = 0;
      length += count;
      if (length > limit) throw tooMuch(path, limit);
      if (length === bytes.length) bytes = grown(bytes, Math.min(2 * length, limit + 1), wipe);
    }
    done = true;
    return bytes.subarray(0, length);
  } finally {
    if (!done) wipe(bytes);
  }
}

/** Null where there is nothing yet. */
function* readSome(descriptor: number, bytes: Uint8Array, at: number): Twin<number | null> {
  try {
    return yield* step(
      () => readSync(descriptor, bytes, at, bytes.length - at, null),
      async () => (await readAsync(descriptor, bytes, at, bytes.length - at, null)).bytesRead,
    );
  } catch (error) {
    const code = asSystemError(error)?.code;
    if (code === 'EAGAIN') return null;
    // How Windows says that the other end was closed.
    if (code === 'EOF') return 0;
    throw error;
  }
}

function* pause(): Twin<void> {
  yield* step<unknown>(
    () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS),
    () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS)),
  );
}

function grown(bytes: Uint8Array, length: number, wipe: (bytes: Uint8Array) => void): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(new ArrayBuffer(length));
  larger.set(bytes);
  wipe(bytes);
  return larger;
}

function silent(path: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileError',
    `nothing came from the pipe ${quote(path)}: does what writes to it fail, or wait for something?`,
    { path, found: 'nothing' },
  );
}

function tooMuch(path: string, limit: number): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileError',
    `the pipe ${quote(path)} gives more than the ${limit} bytes that are read`,
    {
      path,
      expected: `at most ${limit} bytes`,
    },
  );
}

/** The descriptor that this process has already, where a path names one; null otherwise. */
export function inheritedDescriptor(path: string): number | null {
  if (path === '/dev/stdin') return 0;
  const number = /^\/(?:dev|proc\/self)\/fd\/([0-9]{1,6})$/.exec(path)?.[1];
  return number === undefined ? null : Number(number);
}
