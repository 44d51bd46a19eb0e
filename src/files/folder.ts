import { DISPOSE } from '../disposal.js';
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CryptoTensorsError, quote } from '../errors.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { fileError, isMissing, systemCodeOf } from './system-error.js';

const fsyncAsync = promisify(fsync);
const isWindows = process.platform === 'win32';
const FLAGS = constants.O_RDONLY | (isWindows ? 0 : constants.O_DIRECTORY | constants.O_NOFOLLOW);
/** Linux's O_PATH, which Node does not name: for a folder whose names one may use but not list. */
const O_PATH = 0x200000;

/**
 * A folder that files are made, renamed and removed in. It is held by its descriptor, and on Linux every name is looked up from
 * there: whoever moves the folder, or puts a link in its place or in that of one above it, moves nothing of this.
 *
 * Elsewhere the path is used again; each use first compares what it leads to with the descriptor. That leaves a moment in between,
 * which is why what stands under a name in the end is compared once more (`TemporaryFile`).
 */
export class Folder implements Disposable {
  /** Absolute, without symbolic links. */
  readonly path: string;
  readonly #descriptor: number | null;
  /** What names are looked up from: by way of the descriptor, or null for the path. */
  readonly #anchor: string | null;

  private constructor(path: string, descriptor: number | null, anchor: string | null) {
    this.path = path;
    this.#descriptor = descriptor;
    this.#anchor = anchor;
  }

  /**
   * @param path absolute and without symbolic links: that it leads elsewhere by now is an error
   * @throws {CryptoTensorsError} `FileError`
   */
  static open(path: string): Folder {
    // There, folders cannot be opened, and links are made by administrators only.
    if (isWindows) return new Folder(path, null, null);
    const descriptor = openFolder(path);
    try {
      const anchor = anchorOf(descriptor);
      const actual = anchor === null ? realpathSync(path) : readlinkSync(anchor);
      const folder = new Folder(path, descriptor, anchor);
      if (actual !== path) throw folder.#moved();
      return folder;
    } catch (error) {
      closeSync(descriptor);
      throw fileError(path, 'opened', error);
    }
  }

  /**
   * The path that a system call is to use for a name in this folder. Never for messages.
   *
   * @throws {CryptoTensorsError} `FileError` if the folder is not where it was, where only its path is to be had
   */
  at(name: string): string {
    if (this.#anchor !== null) return `${this.#anchor}/${name}`;
    if (this.#descriptor !== null) {
      const [held, found] = [fstatSync(this.#descriptor, { bigint: true }), lstatSync(this.path, { bigint: true })];
      if (held.dev !== found.dev || held.ino !== found.ino) throw this.#moved();
    }
    return join(this.path, name);
  }

  #moved(): CryptoTensorsError {
    return new CryptoTensorsError(
      'FileError',
      `the folder ${quote(this.path)} was moved or replaced while it was in use. Nothing was written; start again once nobody else is at it`,
      { path: this.path },
    );
  }

  /** Of the folder itself. */
  status(): BigIntStats {
    return this.#descriptor === null
      ? statSync(this.path, { bigint: true })
      : fstatSync(this.#descriptor, { bigint: true });
  }

  /** Its permissions, whatever the umask is. Throws what `node:fs` throws. */
  setMode(mode: number): void {
    if (this.#descriptor !== null) fchmodSync(this.#descriptor, mode);
  }

  /** What stands under a name, be it a symbolic link; null for nothing. Throws what `node:fs` throws. */
  find(name: string): BigIntStats | null {
    try {
      return lstatSync(this.at(name), { bigint: true });
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
  }

  /** Replaces what stands under `to`; a symbolic link is not followed. Throws what `node:fs` throws. */
  rename(from: string, to: string): void {
    renameSync(this.at(from), this.at(to));
  }

  /** Gives a file a second name, if it is not taken: EEXIST. Throws what `node:fs` throws. */
  link(from: string, to: string): void {
    linkSync(this.at(from), this.at(to));
  }

  /** Removes a name, if it is there. Throws what `node:fs` throws. */
  remove(name: string): void {
    try {
      unlinkSync(this.at(name));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  /** The names in it. Throws what `node:fs` throws. */
  *names(): Twin<string[]> {
    const path = this.#anchor === null ? this.path : `${this.#anchor}/.`;
    return yield* step(
      () => readdirSync(path),
      () => readdir(path),
    );
  }

  /**
   * Makes what was created, renamed and removed in it durable, as far as the volume can: some network and synced folders cannot
   * be flushed, nor can one that may not be read. Windows journals such changes by itself.
   *
   * @throws what `node:fs` throws for a disk that fails
   */
  *flush(): Twin<void> {
    const descriptor = this.#descriptor;
    if (descriptor === null) return;
    try {
      yield* step(
        () => fsyncSync(descriptor),
        () => fsyncAsync(descriptor),
      );
    } catch (error) {
      if (!CANNOT_FLUSH.has(systemCodeOf(error) ?? '')) throw error;
    }
  }

  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
  }

  [DISPOSE](): void {
    this.close();
  }
}

/** What volumes say that know no flushing of folders; EBADF is Linux's answer for one that may not be read. */
const CANNOT_FLUSH = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'EBADF', 'EACCES', 'EPERM', 'EROFS', 'EISDIR']); // prettier-ignore

function openFolder(path: string): number {
  try {
    return openSync(path, FLAGS);
  } catch (error) {
    if (process.platform !== 'linux' || systemCodeOf(error) !== 'EACCES') throw fileError(path, 'opened', error);
  }
  try {
    return openSync(path, FLAGS | O_PATH);
  } catch (error) {
    throw fileError(path, 'opened', error);
  }
}

/** Where the system shows a descriptor as a path of its own; null where it does not. */
function anchorOf(descriptor: number): string | null {
  if (process.platform !== 'linux') return null;
  const anchor = `/proc/self/fd/${descriptor}`;
  try {
    const [held, shown] = [fstatSync(descriptor, { bigint: true }), statSync(anchor, { bigint: true })];
    return held.dev === shown.dev && held.ino === shown.ino ? anchor : null;
  } catch {
    // Without /proc, as in some containers.
    return null;
  }
}
