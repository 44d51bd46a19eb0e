import type { Addon, SinkHandle, SourceHandle } from './addon.js';
import { guarded } from './native-fault.js';
import { runJob, startJob, UNCONTROLLED } from './job.js';
import { NativeObject } from './native-object.js';
import type { FileStatus, Sink, Source } from './types.js';

/** An open file, or bytes in memory, to read from. */
export class NativeSource extends NativeObject<'source'> implements Source {
  readonly size: number;
  readonly path: string | undefined;
  readonly #addon: Addon;
  /** What it reads from, if that is memory. */
  readonly memory: Uint8Array | null;

  constructor(addon: Addon, handle: SourceHandle, path: string | undefined, memory: Uint8Array | null = null) {
    super(handle, (source) => addon.closeSource(source));
    this.#addon = addon;
    this.size = addon.sourceSize(handle);
    this.path = path;
    this.memory = memory;
  }

  status(): FileStatus | null {
    return guarded(() => this.#addon.sourceStatus(this.handle));
  }

  close(): void {
    this.closeHandle();
  }
}

/** A new file, or memory, to write to. */
export class NativeSink extends NativeObject<'sink'> implements Sink {
  readonly #addon: Addon;
  /** What it writes to, if that is memory. */
  readonly memory: Uint8Array | null;

  constructor(addon: Addon, handle: SinkHandle, memory: Uint8Array | null = null) {
    super(handle, (sink) => addon.closeSink(sink));
    this.#addon = addon;
    this.memory = memory;
  }

  allocate(size: number): void {
    runJob(this.#addon, () => this.#allocateJob(size), UNCONTROLLED);
  }

  async allocateAsync(size: number): Promise<void> {
    await startJob(this.#addon, () => this.#allocateJob(size), UNCONTROLLED);
  }

  #allocateJob(size: number) {
    return this.#addon.sinkAllocateJob(this.handle, size);
  }

  write(offset: number, bytes: Uint8Array): void {
    guarded(() => this.#addon.sinkWrite(this.handle, offset, bytes));
  }

  sync(): void {
    runJob(this.#addon, () => this.#syncJob(), UNCONTROLLED);
  }

  async syncAsync(): Promise<void> {
    await startJob(this.#addon, () => this.#syncJob(), UNCONTROLLED);
  }

  #syncJob() {
    return this.#addon.sinkSyncJob(this.handle);
  }

  status(): FileStatus | null {
    return guarded(() => this.#addon.sinkStatus(this.handle));
  }

  setMode(mode: number): void {
    guarded(() => this.#addon.sinkSetMode(this.handle, mode));
  }

  setOwner(uid: number | null, gid: number | null): void {
    guarded(() => this.#addon.sinkSetOwner(this.handle, uid, gid));
  }

  close(): void {
    this.closeHandle();
  }
}
