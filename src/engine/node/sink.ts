import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fsync,
  fstatSync,
  fsyncSync,
  ftruncate,
  ftruncateSync,
  openSync,
  statfs,
  statfsSync,
} from 'node:fs';
import type { StatsFs } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { FileStatus, Sink } from '../types.js';
import { checkJobBytes } from './arguments.js';
import { EngineFault, systemFault } from './fault.js';
import { openOutput } from './io.js';
import { statusOfDescriptor } from './io.js';
import type { Place } from './io.js';
import { Lease } from './lease.js';

const fsyncAsync = promisify(fsync);
const ftruncateAsync = promisify(ftruncate);
const statfsAsync = promisify(statfs) as (path: string) => Promise<StatsFs>;

/** Something to write to, as jobs see it. */
export abstract class NodeSink implements Sink {
  /** Held by jobs. */
  abstract readonly lease: Lease;
  abstract readonly place: Place;

  abstract allocate(size: number): void;
  abstract allocateAsync(size: number): Promise<void>;
  abstract sync(): void;
  abstract syncAsync(): Promise<void>;
  abstract status(): FileStatus | null;
  abstract setMode(mode: number): void;
  abstract setOwner(uid: number | null, gid: number | null): void;

  write(offset: number, bytes: Uint8Array): void {
    this.lease.assertOpen();
    openOutput(this.place).write(offset, bytes);
  }

  close(): void {
    this.lease.close();
  }
}

/** The sink behind the interface. */
export function nodeSink(sink: Sink): NodeSink {
  if (sink instanceof NodeSink) return sink;
  throw new TypeError('sink must be a sink made by this engine');
}

class FileSink extends NodeSink {
  readonly place: Place & { kind: 'file' };
  readonly lease: Lease;
  readonly #directory: string;

  constructor(fd: number, path: string) {
    super();
    this.place = { kind: 'file', fd, size: 0 };
    this.lease = new Lease('sink', this, () => closeSync(fd));
    this.#directory = dirname(path);
  }

  /** Node cannot reserve space; a file that is certainly too large for the disk is refused nonetheless. */
  allocate(size: number): void {
    this.lease.assertOpen();
    try {
      assertRoom(statfsSync(this.#directory), size);
      ftruncateSync(this.place.fd, size);
    } catch (error) {
      throw systemFault("cannot set the file's size", error);
    }
  }

  async allocateAsync(size: number): Promise<void> {
    this.lease.use();
    try {
      assertRoom(await statfsAsync(this.#directory), size);
      await ftruncateAsync(this.place.fd, size);
    } catch (error) {
      throw systemFault("cannot set the file's size", error);
    } finally {
      this.lease.done();
    }
  }

  sync(): void {
    this.lease.assertOpen();
    try {
      fsyncSync(this.place.fd);
    } catch (error) {
      throw systemFault('cannot flush to disk', error);
    }
  }

  async syncAsync(): Promise<void> {
    this.lease.use();
    try {
      await fsyncAsync(this.place.fd);
    } catch (error) {
      throw systemFault('cannot flush to disk', error);
    } finally {
      this.lease.done();
    }
  }

  status(): FileStatus | null {
    this.lease.assertOpen();
    return statusOfDescriptor(this.place.fd);
  }

  setMode(mode: number): void {
    this.lease.assertOpen();
    try {
      fchmodSync(this.place.fd, mode);
    } catch (error) {
      throw systemFault('cannot set the permissions', error);
    }
  }

  setOwner(uid: number | null, gid: number | null): void {
    this.lease.assertOpen();
    try {
      // -1, which leaves what is, is not taken.
      const { uid: ownUid, gid: ownGid } = fstatSync(this.place.fd);
      fchownSync(this.place.fd, uid ?? ownUid, gid ?? ownGid);
    } catch (error) {
      throw systemFault('cannot set the owner', error);
    }
  }
}

/** A file system that tells nothing has no blocks at all. */
function assertRoom({ bsize, bfree, blocks }: StatsFs, size: number): void {
  if (blocks === 0 || size <= bsize * bfree) return;
  throw new EngineFault('FileError', 'cannot reserve space: no space left on device', { systemCode: 'ENOSPC' });
}

class MemorySink extends NodeSink {
  readonly place: Place & { kind: 'memory' };
  readonly lease: Lease;

  constructor(bytes: Uint8Array) {
    super();
    this.place = { kind: 'memory', bytes };
    this.lease = new Lease('sink', this, () => undefined);
  }

  allocate(size: number): void {
    this.lease.assertOpen();
    const { byteLength } = this.place.bytes;
    if (size > byteLength) {
      throw new EngineFault(
        'InvalidOption',
        `${size} bytes are to be written, but the destination holds ${byteLength}`,
      );
    }
  }

  async allocateAsync(size: number): Promise<void> {
    await Promise.resolve();
    this.allocate(size);
  }

  sync(): void {
    this.lease.assertOpen();
  }

  async syncAsync(): Promise<void> {
    await Promise.resolve();
    this.sync();
  }

  status(): null {
    return null;
  }

  setMode(): void {
    // Memory has no permissions.
  }

  setOwner(): void {
    // Nor an owner.
  }
}

export function createFile(path: string, mode: number): NodeSink {
  try {
    return new FileSink(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode), path);
  } catch (error) {
    throw systemFault('cannot create', error);
  }
}

export function memorySink(bytes: Uint8Array): NodeSink {
  checkJobBytes(bytes, 'bytes');
  return new MemorySink(bytes);
}
