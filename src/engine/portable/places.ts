import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import { checkMemory, isDetached, part } from '../memory.js';
import type { FileStatus, Sink, Source } from '../types.js';
import { Lease } from './lease.js';

/** What a source is read by: a file, or memory. */
export interface SourcePort {
  readonly size: number;
  readonly path: string | undefined;
  /** Fills `target` as far as there are bytes, and says how far. Fewer than `least` are `FileChanged`. */
  read(position: number, target: Uint8Array, least: number): Twin<number>;
  status(): FileStatus | null;
  /** @throws EngineFault `FileChanged` if it was written to or cut since it was opened, as far as the system tells */
  checkUnchanged(): void;
}

/** Where bytes come from. Every read copies: nothing is verified or decrypted in memory that others can change. */
export class PortableSource extends Lease implements Source {
  readonly port: SourcePort;
  readonly size: number;
  readonly path: string | undefined;

  constructor(port: SourcePort, release: () => void) {
    super('source', release);
    this.port = port;
    this.size = port.size;
    this.path = port.path;
  }

  status(): FileStatus | null {
    this.assertOpen();
    return this.port.status();
  }
}

/** What a sink is written by. */
export interface SinkPort {
  /** Memory that can be wiped again, and ends; undefined for a file. */
  readonly memory: Uint8Array | undefined;
  allocate(size: number): Twin<void>;
  write(offset: number, bytes: Uint8Array): Twin<void>;
  sync(): Twin<void>;
  status(): FileStatus | null;
  setMode(mode: number): void;
  setOwner(uid: number | null, gid: number | null): void;
}

/** Where bytes go. */
export class PortableSink extends Lease implements Sink {
  readonly port: SinkPort;

  constructor(port: SinkPort, release: () => void) {
    super('sink', release);
    this.port = port;
  }

  allocate(size: number): void {
    runSync(Lease.using([this], () => this.port.allocate(size)));
  }

  allocateAsync(size: number): Promise<void> {
    return runAsync(Lease.using([this], () => this.port.allocate(size)));
  }

  write(offset: number, bytes: Uint8Array): void {
    runSync(Lease.using([this], () => this.port.write(offset, bytes)));
  }

  sync(): void {
    runSync(Lease.using([this], () => this.port.sync()));
  }

  syncAsync(): Promise<void> {
    return runAsync(Lease.using([this], () => this.port.sync()));
  }

  status(): FileStatus | null {
    this.assertOpen();
    return this.port.status();
  }

  setMode(mode: number): void {
    this.assertOpen();
    this.port.setMode(mode);
  }

  setOwner(uid: number | null, gid: number | null): void {
    this.assertOpen();
    this.port.setOwner(uid, gid);
  }
}

/** What this engine made, behind an interface. */
export function own<Kind>(value: unknown, kind: abstract new (...args: never[]) => Kind): Kind {
  if (value instanceof kind) return value;
  throw new TypeError(`it must be a ${kind.name} made by this engine`);
}

/** To be asked again after every turn of the event loop, and after every call of the caller's functions. */
function checkPresent(bytes: Uint8Array, name: string): void {
  if (!isDetached(bytes)) return;
  throw new EngineFault('Detached', `the memory of ${name} was transferred or resized before it was used`);
}

/* eslint-disable require-yield -- Memory never makes anybody wait. */

export function memorySource(bytes: Uint8Array): PortableSource {
  checkMemory(bytes);
  const port: SourcePort = {
    size: bytes.byteLength,
    path: undefined,
    *read(position, target, least) {
      checkPresent(bytes, 'the bytes');
      checkPresent(target, 'the destination');
      const length = Math.min(target.byteLength, bytes.byteLength - position);
      if (length < least) throw new EngineFault('FileChanged', 'the bytes end before the range that is to be read');
      target.set(part(bytes, position, length));
      return length;
    },
    status: () => null,
    // Memory tells nobody that it was written to.
    checkUnchanged: () => undefined,
  };
  return new PortableSource(port, () => undefined);
}

export function memorySink(memory: Uint8Array): PortableSink {
  checkMemory(memory);
  const ensureRoom = (end: number): void => {
    if (end <= memory.byteLength) return;
    const message = `bytes are to be written up to ${end}, but the destination holds ${memory.byteLength}`;
    throw new EngineFault('InvalidOption', message);
  };
  const port: SinkPort = {
    memory,
    *allocate(size) {
      ensureRoom(size);
    },
    *write(offset, bytes) {
      checkPresent(memory, 'the destination');
      ensureRoom(offset + bytes.byteLength);
      memory.set(bytes, offset);
    },
    *sync() {
      // Memory is where it is.
    },
    status: () => null,
    setMode: () => undefined,
    setOwner: () => undefined,
  };
  return new PortableSink(port, () => undefined);
}
