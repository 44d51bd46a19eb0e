import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import { checkMemory, isDetached, part } from '../memory.js';
import type { FileStatus, Sink, Source } from '../types.js';
import { checkKind } from './kind.js';
import { Lease } from './lease.js';

/** Where bytes come from, as jobs see it. Every read copies: nothing is verified or decrypted in memory that others can change. */
export abstract class PortableSource extends Lease implements Source {
  abstract readonly size: number;
  abstract readonly path: string | undefined;

  /** Fills `target` as far as there are bytes, and says how far. Fewer than `least` are `FileChanged`. */
  abstract read(position: number, target: Uint8Array, least: number): Twin<number>;
  abstract status(): FileStatus | null;
  /** @throws EngineFault `FileChanged` if it was written to or cut since it was opened, as far as the system tells */
  abstract checkUnchanged(): void;
}

/** Where bytes go. */
export abstract class PortableSink extends Lease implements Sink {
  /** Memory that can be wiped again, and ends; undefined for a file. */
  abstract readonly memory: Uint8Array | undefined;

  protected abstract allocating(size: number): Twin<void>;
  protected abstract syncing(): Twin<void>;
  abstract status(): FileStatus | null;
  abstract setMode(mode: number): void;
  abstract setOwner(uid: number | null, gid: number | null): void;
  abstract writing(offset: number, bytes: Uint8Array): Twin<void>;

  allocate(size: number): void {
    runSync(Lease.using([this], () => this.allocating(size)));
  }

  allocateAsync(size: number): Promise<void> {
    return runAsync(Lease.using([this], () => this.allocating(size)));
  }

  write(offset: number, bytes: Uint8Array): void {
    runSync(Lease.using([this], () => this.writing(offset, bytes)));
  }

  sync(): void {
    runSync(Lease.using([this], () => this.syncing()));
  }

  syncAsync(): Promise<void> {
    return runAsync(Lease.using([this], () => this.syncing()));
  }
}

/** The source behind the interface. */
export function portableSource(source: Source): PortableSource {
  if (source instanceof PortableSource) return source;
  throw new TypeError('source must be a source made by this engine');
}

/** The sink behind the interface. */
export function portableSink(sink: Sink): PortableSink {
  if (sink instanceof PortableSink) return sink;
  throw new TypeError('sink must be a sink made by this engine');
}

/** Bytes that a job works on: they must not go away meanwhile. */
export function checkJobBytes(value: Uint8Array, name: string): void {
  checkKind(value, 'Uint8Array', name);
  checkMemory(value);
}

/** To be asked again after every turn of the event loop, and after every call of the caller's functions. */
function checkPresent(bytes: Uint8Array, name: string): void {
  if (!isDetached(bytes)) return;
  throw new EngineFault('Detached', `the memory of ${name} was transferred or resized before it was used`);
}

/* eslint-disable require-yield -- Memory never makes anybody wait. */

export class MemorySource extends PortableSource {
  readonly path = undefined;
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    checkJobBytes(bytes, 'bytes');
    super('source', () => undefined);
    this.size = bytes.byteLength;
    this.#bytes = bytes;
  }

  *read(position: number, target: Uint8Array, least: number): Twin<number> {
    checkPresent(this.#bytes, 'the bytes');
    checkPresent(target, 'the destination');
    const length = Math.min(target.byteLength, this.#bytes.byteLength - position);
    if (length < least) throw new EngineFault('FileChanged', 'the bytes end before the range that is to be read');
    target.set(part(this.#bytes, position, length));
    return length;
  }

  status(): null {
    return null;
  }

  checkUnchanged(): void {
    // Memory tells nobody that it was written to.
  }
}

export class MemorySink extends PortableSink {
  readonly memory: Uint8Array;

  constructor(bytes: Uint8Array, name = 'bytes') {
    checkJobBytes(bytes, name);
    super('sink', () => undefined);
    this.memory = bytes;
  }

  protected *allocating(size: number): Twin<void> {
    const { byteLength } = this.memory;
    if (size <= byteLength) return;
    throw new EngineFault('InvalidOption', `${size} bytes are to be written, but the destination holds ${byteLength}`);
  }

  *writing(offset: number, bytes: Uint8Array): Twin<void> {
    checkPresent(this.memory, 'the destination');
    if (offset + bytes.byteLength > this.memory.byteLength) {
      throw new EngineFault('InvalidOption', 'the destination ends before the range that is to be written');
    }
    this.memory.set(bytes, offset);
  }

  protected *syncing(): Twin<void> {
    // Memory is where it is.
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
