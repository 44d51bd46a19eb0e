import { close, closeSync, constants, fstat, fstatSync, open, openSync, read } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { promisify } from 'node:util';
import type { FileStatus, Source } from '../types.js';
import { checkJobBytes } from './arguments.js';
import { EngineFault, systemFault } from './fault.js';
import { becameShorter, openInput, statusOfDescriptor } from './io.js';
import type { Place } from './io.js';
import { Lease } from './lease.js';

// The promise API has file handles of its own, which close themselves when they are collected; jobs need the descriptor.
const openAsync = promisify(open);
const fstatAsync = promisify(fstat) as (fd: number, options: { bigint: true }) => Promise<BigIntStats>;
const closeAsync = promisify(close);
const readAsync = promisify(read);

/** O_NONBLOCK: opening a FIFO would otherwise wait for its writer. It means nothing for a regular file. Windows has none. */
const OPEN_FLAGS = constants.O_RDONLY | ((constants.O_NONBLOCK as number | undefined) ?? 0);

/** Bytes to read, as jobs see them. */
export abstract class NodeSource implements Source {
  abstract readonly size: number;
  abstract readonly path: string | undefined;
  /** Held by jobs. */
  abstract readonly lease: Lease;
  abstract readonly place: Place;

  /** @throws EngineFault `FileChanged` if it was written to or cut since it was opened, as far as the system tells */
  abstract checkUnchanged(): void;
  abstract readAsync(offset: number, destination: Uint8Array): Promise<void>;
  abstract status(): FileStatus | null;

  readSync(offset: number, destination: Uint8Array): void {
    openInput(this.place).read(offset, destination);
  }

  close(): void {
    this.lease.close();
  }
}

/** The source behind the interface. */
export function nodeSource(source: Source, name = 'source'): NodeSource {
  if (source instanceof NodeSource) return source;
  throw new TypeError(`${name} must be a source made by this engine`);
}

class FileSource extends NodeSource {
  readonly path: string;
  readonly size: number;
  readonly place: Place & { kind: 'file' };
  readonly lease: Lease;
  readonly #modified: bigint;

  constructor(path: string, fd: number, status: BigIntStats) {
    super();
    this.path = path;
    this.size = Number(status.size);
    this.place = { kind: 'file', fd, size: this.size };
    this.lease = new Lease('source', this, () => closeSync(fd));
    this.#modified = status.mtimeNs;
  }

  checkUnchanged(): void {
    let status: BigIntStats;
    try {
      status = fstatSync(this.place.fd, { bigint: true });
    } catch (error) {
      throw systemFault("cannot get the file's status", error);
    }
    // The change time is left out: a rename changes it too.
    if (Number(status.size) !== this.size || status.mtimeNs !== this.#modified) {
      throw new EngineFault('FileChanged', 'its size or modification time is not what it was at opening');
    }
  }

  status(): FileStatus | null {
    this.lease.assertOpen();
    return statusOfDescriptor(this.place.fd);
  }

  async readAsync(offset: number, destination: Uint8Array): Promise<void> {
    for (let filled = 0; filled < destination.byteLength;) {
      const count = await readSome(this.place.fd, destination, filled, offset + filled);
      if (count === 0) throw becameShorter(this.size);
      filled += count;
    }
  }
}

/** One read takes up to this much: other work in Node's own thread pool gets its turn in between. */
const READ_BYTES = 4 * 1024 * 1024;

async function readSome(fd: number, target: Uint8Array, offset: number, position: number): Promise<number> {
  try {
    const length = Math.min(target.byteLength - offset, READ_BYTES);
    return (await readAsync(fd, target, offset, length, position)).bytesRead;
  } catch (error) {
    throw systemFault('cannot read', error);
  }
}

class MemorySource extends NodeSource {
  readonly path = undefined;
  readonly size: number;
  readonly place: Place;
  readonly lease: Lease;

  constructor(bytes: Uint8Array) {
    super();
    this.size = bytes.byteLength;
    this.place = { kind: 'memory', bytes };
    this.lease = new Lease('source', this, () => undefined);
  }

  checkUnchanged(): void {
    // Memory tells nobody that it was written to.
  }

  status(): null {
    return null;
  }

  readAsync(offset: number, destination: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      this.readSync(offset, destination);
      resolve();
    });
  }
}

export function openBytes(bytes: Uint8Array): NodeSource {
  checkJobBytes(bytes, 'bytes');
  return new MemorySource(bytes);
}

export async function openFile(path: string): Promise<NodeSource> {
  let fd: number | undefined;
  try {
    fd = await openAsync(path, OPEN_FLAGS);
    return fileSource(path, fd, await fstatAsync(fd, { bigint: true }));
  } catch (error) {
    if (fd !== undefined) await closeAsync(fd);
    throw systemFault('cannot open', error);
  }
}

export function openFileSync(path: string): NodeSource {
  let fd: number | undefined;
  try {
    fd = openSync(path, OPEN_FLAGS);
    return fileSource(path, fd, fstatSync(fd, { bigint: true }));
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw systemFault('cannot open', error);
  }
}

function fileSource(path: string, fd: number, status: BigIntStats): NodeSource {
  if (status.isDirectory()) {
    throw new EngineFault('FileError', 'cannot open: illegal operation on a directory', { systemCode: 'EISDIR' });
  }
  if (!status.isFile()) throw new EngineFault('FileError', 'it is not a regular file');
  return new FileSource(path, fd, status);
}
