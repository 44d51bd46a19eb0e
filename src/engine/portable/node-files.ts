import * as fs from 'node:fs';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { step } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import { asSystemError } from '../system-codes.js';
import type { FaultSide, FileStatus } from '../types.js';
import type { Files } from './engine.js';
import { PortableSink, PortableSource } from './places.js';

/** A system call in its two forms. Not that of the promise API, whose file handles close themselves when they are collected. */
type Call<Args extends unknown[], Result> = [
  sync: (...args: Args) => Result,
  async: (...args: Args) => Promise<Result>,
];
type Transfer = [fd: number, bytes: Uint8Array, at: number, length: number, position: number];

const [readAsync, writeAsync] = [promisify(fs.read), promisify(fs.write)];
const OPEN: Call<[path: string, flags: number], number> = [fs.openSync, promisify(fs.open)];
const CLOSE: Call<[fd: number], void> = [fs.closeSync, promisify(fs.close)];
const READ: Call<Transfer, number> = [fs.readSync, async (...args) => (await readAsync(...args)).bytesRead];
const WRITE: Call<Transfer, number> = [fs.writeSync, async (...args) => (await writeAsync(...args)).bytesWritten];
const SYNC: Call<[fd: number], void> = [fs.fsyncSync, promisify(fs.fsync)];
const TRUNCATE: Call<[fd: number, size: number], void> = [fs.ftruncateSync, promisify(fs.ftruncate)];
const STATFS: Call<[path: string], fs.StatsFs> = [fs.statfsSync, promisify(fs.statfs)];
const STATUS: Call<[fd: number, options: { bigint: true }], fs.BigIntStats> = [fs.fstatSync, promisify(fs.fstat)];
const BIGINT = { bigint: true } as const;

/** O_NONBLOCK: opening a FIFO would otherwise wait for its writer. It means nothing for a regular file. Windows has none. */
// By a name of its own: the file tracer of Next.js fails on `fs.constants` where a bundle has another `constants` too.
const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NONBLOCK } = constants;
const READ_FLAGS = O_RDONLY | ((O_NONBLOCK as number | undefined) ?? 0);
/** One call transfers up to this much: other work in Node's own thread pool gets its turn in between. */
const MAX_TRANSFER = 4 * 1024 * 1024;

/** Files by their descriptors. */
export const nodeFiles: Files = {
  *openFile(path) {
    const fd = yield* call('source', 'cannot open', OPEN, path, READ_FLAGS);
    try {
      const status = yield* call('source', 'cannot open', STATUS, fd, BIGINT);
      if (status.isDirectory()) {
        throw new EngineFault('FileError', 'cannot open: illegal operation on a directory', { systemCode: 'EISDIR' });
      }
      if (!status.isFile()) throw new EngineFault('FileError', 'it is not a regular file');
      return fileSource(path, fd, status);
    } catch (error) {
      yield* call('source', 'cannot close', CLOSE, fd);
      throw error;
    }
  },
  createFile(path, mode) {
    const fd = attempt('sink', 'cannot create', () => fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL, mode));
    return fileSink(fd, dirname(path));
  },
};

function fileSource(path: string, fd: number, opened: fs.BigIntStats): PortableSource {
  const size = Number(opened.size);
  const read = (bytes: Uint8Array, at: number, length: number, position: number) =>
    call('source', 'cannot read', READ, fd, bytes, at, length, position);
  return new PortableSource(
    {
      size,
      path,
      *read(position, target, least) {
        const count = yield* transfer(read, position, target);
        if (count >= least) return count;
        const message = `it was ${size} bytes long when it was opened and has become shorter`;
        throw new EngineFault('FileChanged', message);
      },
      status: () => statusOf(fd),
      checkUnchanged() {
        const status = attempt('source', "cannot get the file's status", () => fs.fstatSync(fd, BIGINT));
        // The change time is left out: a rename changes it too.
        if (status.size === opened.size && status.mtimeNs === opened.mtimeNs) return;
        throw new EngineFault('FileChanged', 'its size or modification time is not what it was at opening');
      },
    },
    () => fs.closeSync(fd),
  );
}

function fileSink(fd: number, folder: string): PortableSink {
  const write = (bytes: Uint8Array, at: number, length: number, position: number) =>
    call('sink', 'cannot write', WRITE, fd, bytes, at, length, position);
  return new PortableSink(
    {
      memory: undefined,
      /** Node cannot reserve space; a file that is certainly too large for the disk is refused nonetheless. */
      *allocate(size) {
        const what = "cannot set the file's size";
        const { bsize, bfree, blocks } = yield* call('sink', what, STATFS, folder);
        // A file system that tells nothing has no blocks at all.
        if (blocks > 0 && size > bsize * bfree) throw noSpace('cannot reserve space');
        yield* call('sink', what, TRUNCATE, fd, size);
      },
      *write(offset, bytes) {
        if ((yield* transfer(write, offset, bytes)) < bytes.byteLength) throw noSpace('cannot write');
      },
      sync: () => call('sink', 'cannot flush to disk', SYNC, fd),
      status: () => statusOf(fd),
      setMode: (mode) => attempt('sink', 'cannot set the permissions', () => fs.fchmodSync(fd, mode)),
      setOwner: (uid, gid) =>
        attempt('sink', 'cannot set the owner', () => {
          // -1, which leaves what is, is not taken.
          const own = fs.fstatSync(fd);
          fs.fchownSync(fd, uid ?? own.uid, gid ?? own.gid);
        }),
    },
    () => fs.closeSync(fd),
  );
}

/** As much as there is, and says how much. */
function* transfer(
  move: (bytes: Uint8Array, at: number, length: number, position: number) => Twin<number>,
  position: number,
  bytes: Uint8Array,
): Twin<number> {
  let at = 0;
  while (at < bytes.byteLength) {
    const count = yield* move(bytes, at, Math.min(bytes.byteLength - at, MAX_TRANSFER), position + at);
    if (count === 0) break;
    at += count;
  }
  return at;
}

/** A system call; that it failed becomes "cannot open: no such file or directory". Anything else passes through. */
function* call<Args extends unknown[], Result>(
  side: FaultSide,
  what: string,
  [blocking, awaiting]: Call<Args, Result>,
  ...args: Args
): Twin<Result> {
  try {
    return yield* step(
      () => blocking(...args),
      () => awaiting(...args),
    );
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
  const { dev, ino, mode, uid, gid, nlink } = fs.fstatSync(fd, BIGINT);
  const permissions = Number(mode & 0o7777n);
  return { device: dev, inode: ino, mode: permissions, uid: Number(uid), gid: Number(gid), links: Number(nlink) };
}

function noSpace(what: string): EngineFault {
  return new EngineFault('FileError', `${what}: no space left on device`, { side: 'sink', systemCode: 'ENOSPC' });
}
