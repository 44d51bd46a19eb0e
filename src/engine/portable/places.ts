import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import { part } from '../memory.js';
import type { FileStatus, Sink, Source } from '../types.js';
import { checkJobBytes, checkPresent } from './arguments.js';
import { Lease } from './lease.js';

/** Where bytes come from, as jobs see it. Every read copies: nothing is verified or decrypted in memory that others can change. */
export abstract class PortableSource implements Source {
  abstract readonly size: number;
  abstract readonly path: string | undefined;
  /** Held by jobs. */
  abstract readonly lease: Lease;

  /** Fills all of `target`. Fewer bytes than that is `FileChanged`. */
  abstract read(position: number, target: Uint8Array): Twin<void>;
  abstract status(): FileStatus | null;
  /** @throws EngineFault `FileChanged` if it was written to or cut since it was opened, as far as the system tells */
  abstract checkUnchanged(): void;

  close(): void {
    this.lease.close();
  }
}

/** Where bytes go. */
export abstract class PortableSink implements Sink {
  abstract readonly lease: Lease;
  /** Memory that can be wiped again, and ends; undefined for a file. */
  abstract readonly memory: Uint8Array | undefined;

  protected abstract allocating(size: number): Twin<void>;
  protected abstract syncing(): Twin<void>;
  abstract status(): FileStatus | null;
  abstract setMode(mode: number): void;
  abstract setOwner(uid: number | null, gid: number | null): void;
  abstract writing(offset: number, bytes: Uint8Array): Twin<void>;

  allocate(size: number): void {
    runSync(this.#open(this.allocating(size)));
  }

  allocateAsync(size: number): Promise<void> {
    return runAsync(this.#open(this.allocating(size)));
  }

  write(offset: number, bytes: Uint8Array): void {
    runSync(this.#open(this.writing(offset, bytes)));
  }

  sync(): void {
    runSync(this.#open(this.syncing()));
  }

  syncAsync(): Promise<void> {
    return runAsync(this.#open(this.syncing()));
  }

  close(): void {
    this.lease.close();
  }

  *#open(work: Twin<void>): Twin<void> {
    this.lease.use();
    try {
      yield* work;
    } finally {
      this.lease.done();
    }
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

/* eslint-disable require-yield -- Memory never makes anybody wait. */

export class MemorySource extends PortableSource {
  readonly path = undefined;
  readonly size: number;
  readonly lease = new Lease('source', this, () => undefined);
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    super();
    checkJobBytes(bytes, 'bytes');
    this.size = bytes.byteLength;
    this.#bytes = bytes;
  }

  *read(position: number, target: Uint8Array): Twin<void> {
    checkPresent(this.#bytes, 'the bytes');
    checkPresent(target, 'the destination');
    if (position + target.byteLength > this.#bytes.byteLength) {
      throw new EngineFault('FileChanged', 'the bytes end before the range that is to be read');
    }
    target.set(part(this.#bytes, position, target.byteLength));
  }

  status(): null {
    return null;
  }

  checkUnchanged(): void {
    // Memory tells nobody that it was written to.
  }
}

export class MemorySink extends PortableSink {
  readonly lease = new Lease('sink', this, () => undefined);
  readonly memory: Uint8Array;

  constructor(bytes: Uint8Array, name = 'bytes') {
    super();
    checkJobBytes(bytes, name);
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
