import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { step } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import { asSystemError } from '../system-codes.js';
import type { FaultSide, FileStatus } from '../types.js';
import type { Files } from './engine.js';
import { PortableSink, PortableSource } from './places.js';

// The promise API has file handles of its own, which close themselves when they are collected; jobs need the descriptor.
const open = promisify(fs.open);
const close = promisify(fs.close);
const read = promisify(fs.read);
const write = promisify(fs.write);
const fsync = promisify(fs.fsync);
const ftruncate = promisify(fs.ftruncate);
const statfs = promisify(fs.statfs) as (path: string) => Promise<fs.StatsFs>;
const fstat = promisify(fs.fstat) as (fd: number, options: { bigint: true }) => Promise<fs.BigIntStats>;

/** O_NONBLOCK: opening a FIFO would otherwise wait for its writer. It means nothing for a regular file. Windows has none. */
const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL } = fs.constants;
const READ_FLAGS = O_RDONLY | ((fs.constants.O_NONBLOCK as number | undefined) ?? 0);
/** One call transfers up to this much: other work in Node's own thread pool gets its turn in between. */
const MAX_TRANSFER = 4 * 1024 * 1024;

/** Files by their descriptors. */
export const nodeFiles: Files = {
  *openFile(path) {
    const fd = yield* call(
      'source',
      'cannot open',
      () => fs.openSync(path, READ_FLAGS),
      () => open(path, READ_FLAGS),
    );
    try {
      const status = yield* call(
        'source',
        'cannot open',
        () => fs.fstatSync(fd, { bigint: true }),
        () => fstat(fd, { bigint: true }),
      );
      if (status.isDirectory()) {
        throw new EngineFault('FileError', 'cannot open: illegal operation on a directory', { systemCode: 'EISDIR' });
      }
      if (!status.isFile()) throw new EngineFault('FileError', 'it is not a regular file');
      return new FileSource(path, fd, status);
    } catch (error) {
      yield* step(
        () => fs.closeSync(fd),
        () => close(fd),
      );
      throw error;
    }
  },
  createFile(path, mode) {
    const flags = O_WRONLY | O_CREAT | O_EXCL;
    return new FileSink(
      attempt('sink', 'cannot create', () => fs.openSync(path, flags, mode)),
      path,
    );
  },
};

class FileSource extends PortableSource {
  readonly path: string;
  readonly size: number;
  readonly #fd: number;
  readonly #modified: bigint;

  constructor(path: string, fd: number, status: fs.BigIntStats) {
    super('source', () => fs.closeSync(fd));
    this.path = path;
    this.size = Number(status.size);
    this.#fd = fd;
    this.#modified = status.mtimeNs;
  }

  *read(position: number, target: Uint8Array, least: number): Twin<number> {
    let at = 0;
    while (at < target.byteLength) {
      const length = Math.min(target.byteLength - at, MAX_TRANSFER);
      const count = yield* call(
        'source',
        'cannot read',
        () => fs.readSync(this.#fd, target, at, length, position + at),
        async () => (await read(this.#fd, target, at, length, position + at)).bytesRead,
      );
      at += count;
      if (count === 0) break;
    }
    if (at >= least) return at;
    throw new EngineFault('FileChanged', `it was ${this.size} bytes long when it was opened and has become shorter`);
  }

  status(): FileStatus | null {
    this.assertOpen();
    return statusOf(this.#fd);
  }

  checkUnchanged(): void {
    const status = attempt('source', "cannot get the file's status", () => fs.fstatSync(this.#fd, { bigint: true }));
    // The change time is left out: a rename changes it too.
    if (Number(status.size) !== this.size || status.mtimeNs !== this.#modified) {
      throw new EngineFault('FileChanged', 'its size or modification time is not what it was at opening');
    }
  }
}

class FileSink extends PortableSink {
  readonly memory = undefined;
  readonly #fd: number;
  readonly #directory: string;

  constructor(fd: number, path: string) {
    super('sink', () => fs.closeSync(fd));
    this.#fd = fd;
    this.#directory = dirname(path);
  }

  /** Node cannot reserve space; a file that is certainly too large for the disk is refused nonetheless. */
  protected *allocating(size: number): Twin<void> {
    const what = "cannot set the file's size";
    const { bsize, bfree, blocks } = yield* call(
      'sink',
      what,
      () => fs.statfsSync(this.#directory),
      () => statfs(this.#directory),
    );
    // A file system that tells nothing has no blocks at all.
    if (blocks > 0 && size > bsize * bfree) throw noSpace('cannot reserve space');
    yield* call(
      'sink',
      what,
      () => fs.ftruncateSync(this.#fd, size),
      () => ftruncate(this.#fd, size),
    );
  }

  *writing(offset: number, bytes: Uint8Array): Twin<void> {
    for (let at = 0; at < bytes.byteLength;) {
      const length = Math.min(bytes.byteLength - at, MAX_TRANSFER);
      const count = yield* call(
        'sink',
        'cannot write',
        () => fs.writeSync(this.#fd, bytes, at, length, offset + at),
        async () => (await write(this.#fd, bytes, at, length, offset + at)).bytesWritten,
      );
      if (count === 0) throw noSpace('cannot write');
      at += count;
    }
  }

  status(): FileStatus | null {
    this.assertOpen();
    return statusOf(this.#fd);
  }

  setMode(mode: number): void {
    this.assertOpen();
    attempt('sink', 'cannot set the permissions', () => fs.fchmodSync(this.#fd, mode));
  }

  setOwner(uid: number | null, gid: number | null): void {
    this.assertOpen();
    attempt('sink', 'cannot set the owner', () => {
      // -1, which leaves what is, is not taken.
      const own = fs.fstatSync(this.#fd);
      fs.fchownSync(this.#fd, uid ?? own.uid, gid ?? own.gid);
    });
  }

  protected *syncing(): Twin<void> {
    yield* call(
      'sink',
      'cannot flush to disk',
      () => fs.fsyncSync(this.#fd),
      () => fsync(this.#fd),
    );
  }
}

/** A system call; that it failed becomes "cannot open: no such file or directory". Anything else passes through. */
function* call<Result>(side: FaultSide, what: string, sync: () => Result, async: () => Promise<Result>): Twin<Result> {
  try {
    return yield* step(sync, async);
  } catch (error) {
    throw systemFault(side, what, error);
  }
}

/** The same of one that does not take long. */
function attempt<Result>(side: FaultSide, what: string, sync: () => Result): Result {
  try {
    return sync();
  } catch (error) {
    throw systemFault(side, what, error);
  }
}

function systemFault(side: FaultSide, what: string, error: unknown): unknown {
  const failure = asSystemError(error);
  if (failure === null) return error;
  return new EngineFault('FileError', `${what}: ${failure.words}`, { side, systemCode: failure.code });
}

function statusOf(fd: number): FileStatus | null {
  // On Windows the numbers are made up.
  if (process.platform === 'win32') return null;
  const { dev, ino, mode, uid, gid, nlink } = fs.fstatSync(fd, { bigint: true });
  const permissions = Number(mode & 0o7777n);
  return { device: dev, inode: ino, mode: permissions, uid: Number(uid), gid: Number(gid), links: Number(nlink) };
}

function noSpace(what: string): EngineFault {
  return new EngineFault('FileError', `${what}: no space left on device`, { side: 'sink', systemCode: 'ENOSPC' });
}
