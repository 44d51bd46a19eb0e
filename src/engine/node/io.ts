import { fstatSync, readSync, writeSync } from 'node:fs';
import type { FileStatus } from '../types.js';
import { EngineFault, systemFault } from './fault.js';

/** How a thread reads stored bytes. Every call copies: nothing is verified or decrypted in memory that others can change. */
export interface Input {
  /** Fills all of `target`. Fewer bytes than that is `FileChanged`. */
  read(position: number, target: Uint8Array): void;
}

/** How a thread writes. */
export interface Output {
  /** Whether what was written can be wiped again: memory, not a file. */
  readonly revocable: boolean;
  write(offset: number, bytes: Uint8Array): void;
}

/** One call transfers less than 2 GiB on every system. */
const MAX_TRANSFER = 1024 ** 3;

/** A file by its descriptor, which belongs to the process and so serves every thread. */
export class FileInput implements Input {
  readonly #fd: number;
  readonly #size: number;

  constructor(fd: number, size: number) {
    this.#fd = fd;
    this.#size = size;
  }

  read(position: number, target: Uint8Array): void {
    for (let filled = 0; filled < target.byteLength;) {
      const count = this.#readSome(target, filled, position + filled);
      if (count === 0) throw becameShorter(this.#size);
      filled += count;
    }
  }

  #readSome(target: Uint8Array, offset: number, position: number): number {
    try {
      return readSync(this.#fd, target, offset, Math.min(target.byteLength - offset, MAX_TRANSFER), position);
    } catch (error) {
      throw systemFault('cannot read', error);
    }
  }
}

export function becameShorter(size: number): EngineFault {
  return new EngineFault('FileChanged', `it was ${size} bytes long when it was opened and has become shorter`);
}

export class MemoryInput implements Input {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(position: number, target: Uint8Array): void {
    const end = position + target.byteLength;
    if (end > this.#bytes.byteLength) {
      throw new EngineFault('FileChanged', 'the bytes end before the range that is to be read');
    }
    target.set(this.#bytes.subarray(position, end));
  }
}

export class FileOutput implements Output {
  readonly revocable = false;
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.byteLength;) {
      const count = this.#writeSome(bytes, done, offset + done);
      if (count === 0)
        throw new EngineFault('FileError', 'cannot write: no space left on device', { systemCode: 'ENOSPC' });
      done += count;
    }
  }

  #writeSome(bytes: Uint8Array, from: number, offset: number): number {
    try {
      return writeSync(this.#fd, bytes, from, Math.min(bytes.byteLength - from, MAX_TRANSFER), offset);
    } catch (error) {
      throw systemFault('cannot write', error);
    }
  }
}

export class MemoryOutput implements Output {
  readonly revocable = true;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    if (offset + bytes.byteLength > this.#bytes.byteLength) {
      throw new EngineFault('InvalidOption', 'the destination ends before the range that is to be written');
    }
    this.#bytes.set(bytes, offset);
  }
}

/**
 * What a thread is told about where bytes are. Only a `memory` over a SharedArrayBuffer crosses to another thread; other
 * memory is a `relay`, reached through the thread that owns it.
 */
export type Place =
  /** `size`: length when it was opened, for messages; 0 for a sink. */
  { kind: 'file'; fd: number; size: number } | { kind: 'memory'; bytes: Uint8Array };
export type RemotePlace = Place | { kind: 'relay'; index: number };

export function statusOfDescriptor(fd: number): FileStatus | null {
  // On Windows the numbers are made up.
  if (process.platform === 'win32') return null;
  const { dev, ino, mode, uid, gid, nlink } = fstatSync(fd, { bigint: true });
  const permissions = Number(mode & 0o7777n);
  return { device: dev, inode: ino, mode: permissions, uid: Number(uid), gid: Number(gid), links: Number(nlink) };
}

export function openInput(place: Place): Input {
  return place.kind === 'file' ? new FileInput(place.fd, place.size) : new MemoryInput(place.bytes);
}

export function openOutput(place: Place): Output {
  return place.kind === 'file' ? new FileOutput(place.fd) : new MemoryOutput(place.bytes);
}

/** The place as it is told to a worker. */
export function toRemote(place: Place, index: number): RemotePlace {
  return place.kind === 'file' || place.bytes.buffer instanceof SharedArrayBuffer ? place : { kind: 'relay', index };
}
