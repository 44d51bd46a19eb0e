import {
  close,
  closeSync,
  constants,
  fstat,
  fstatSync,
  lstat,
  lstatSync,
  open,
  openSync,
  read,
  readSync,
} from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import { CryptoTensorsError, quotePath } from '../errors.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { kindOf } from './status.js';
import { fileError, isMissing, systemCodeOf } from './system-error.js';

/** A file that is open to be read: a regular one, found under its name and not through a link. */
export interface RegularFile {
  /** Bytes, when it was opened. */
  readonly size: number;
  /** The user whose it is. */
  readonly owner: number;
  /** The bytes from `position`; fewer than `length` where the file ends. */
  read(position: number, length: number): Twin<Uint8Array>;
  /** Whether it is still what is found under this path. */
  isAt(path: string): Twin<boolean>;
  close(): void;
}

const readLater = promisify(read);
const closeLater = promisify(close);
const lstatLater = promisify(lstat) as (path: string, options: { bigint: true }) => Promise<BigIntStats>;
const fstatLater = promisify(fstat) as (descriptor: number, options: { bigint: true }) => Promise<BigIntStats>;
const openLater = promisify(open) as (path: string, flags: number) => Promise<number>;

/** Windows has neither flag: there what the name stands for is asked for before the opening and compared behind it. */
const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants as Partial<typeof constants>;
/** Without O_NONBLOCK, opening a FIFO waits for somebody to write to it. It means nothing for a regular file. */
export const FOUND_AS_IT_IS = O_NOFOLLOW | O_NONBLOCK;
/** One read takes up to this much: other work in Node's own thread pool gets its turn in between. */
const READ_BYTES = 4 * 1024 * 1024;

/**
 * Opens what lies under a name that somebody else may have chosen: never through a link, never waiting.
 *
 * @param at how to get there, if not by the path itself, which is what errors name
 * @returns null if nothing is there
 * @throws {CryptoTensorsError} `FileError` for a link, a FIFO, a device or a folder, saying which, and for what the system refuses
 */
export function* openRegular(path: string, at = path): Twin<RegularFile | null> {
  const opened = yield* step(
    () => openNow(path, at),
    () => openAwaiting(path, at),
  );
  return opened === null ? null : new OpenFile(path, opened);
}

class OpenFile implements RegularFile {
  readonly size: number;
  readonly owner: number;
  readonly #path: string;
  readonly #descriptor: number;

  constructor(path: string, { descriptor, status }: Opened) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.size = Number(status.size);
    this.owner = Number(status.uid);
  }

  *read(position: number, length: number): Twin<Uint8Array> {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - position)));
    let filled = 0;
    while (filled < bytes.length) {
      const wanted = Math.min(bytes.length - filled, READ_BYTES);
      const count = yield* this.#readSome(bytes, filled, wanted, position + filled);
      if (count === 0) break;
      filled += count;
    }
    return bytes.subarray(0, filled);
  }

  *#readSome(bytes: Uint8Array, at: number, length: number, position: number): Twin<number> {
    try {
      return yield* step(
        () => readSync(this.#descriptor, bytes, at, length, position),
        async () => (await readLater(this.#descriptor, bytes, at, length, position)).bytesRead,
      );
    } catch (error) {
      throw fileError(this.#path, 'read', error);
    }
  }

  *isAt(path: string): Twin<boolean> {
    const own = fstatSync(this.#descriptor, { bigint: true });
    const found = yield* step(
      () => lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null,
      () => lstatLater(path, { bigint: true }).catch(() => null),
    );
    return found !== null && own.ino === found.ino && own.dev === found.dev;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

interface Opened {
  descriptor: number;
  status: BigIntStats;
}

function openNow(path: string, at: string): Opened | null {
  let descriptor: number | undefined;
  try {
    if (O_NOFOLLOW === 0) refuseOther(path, lstatSync(at, { bigint: true }));
    descriptor = openSync(at, O_RDONLY! | FOUND_AS_IT_IS);
    const status = fstatSync(descriptor, { bigint: true });
    refuseOther(path, status);
    return { descriptor, status };
  } catch (error) {
    if (descriptor !== undefined) closeSync(descriptor);
    if (isMissing(error)) return null;
    if (isLink(error)) refuseOther(path, lstatSync(at, { bigint: true }));
    throw fileError(path, 'read', error);
  }
}

async function openAwaiting(path: string, at: string): Promise<Opened | null> {
  let descriptor: number | undefined;
  try {
    if (O_NOFOLLOW === 0) refuseOther(path, await lstatLater(at, { bigint: true }));
    descriptor = await openLater(at, O_RDONLY! | FOUND_AS_IT_IS);
    const status = await fstatLater(descriptor, { bigint: true });
    refuseOther(path, status);
    return { descriptor, status };
  } catch (error) {
    if (descriptor !== undefined) await closeLater(descriptor);
    if (isMissing(error)) return null;
    if (isLink(error)) refuseOther(path, await lstatLater(at, { bigint: true }));
    throw fileError(path, 'read', error);
  }
}

/** @throws {CryptoTensorsError} `FileError` for anything but a regular file */
export function refuseOther(path: string, status: BigIntStats): void {
  if (status.isFile()) return;
  throw new CryptoTensorsError('FileError', `${quotePath(path)} must be a regular file, but is ${kindOf(status)}`, {
    path,
    expected: 'a regular file',
    found: kindOf(status),
    ...(status.isDirectory() ? { systemCode: 'EISDIR' } : {}),
  });
}

/** What O_NOFOLLOW makes of a link; other systems than Linux have other words for it. */
export function isLink(error: unknown): boolean {
  return ['ELOOP', 'EMLINK', 'EFTYPE'].includes(systemCodeOf(error) ?? '');
}
