import type { Addon, TableHandle } from './addon.js';
import { startJob, UNCONTROLLED } from './job.js';
import { guarded } from './native-fault.js';
import { handleOf, NativeObject } from './native-object.js';
import { NativeSecret } from './secret.js';
import type { Secret, TensorTable } from './types.js';

/** Offsets, DEKs, IVs, tags and digests of one file, in the addon's memory. */
export class NativeTable extends NativeObject<'table'> implements TensorTable {
  readonly #addon: Addon;

  constructor(addon: Addon, handle: TableHandle) {
    super(handle, (table) => addon.disposeTable(table));
    this.#addon = addon;
  }

  unwrap(master: Secret): number {
    return guarded(() => this.#addon.unwrapTable(this.handle, handleOf(master, 'secret')));
  }

  async unwrapAsync(master: Secret): Promise<number> {
    const make = () => this.#addon.unwrapTableJob(this.handle, handleOf(master, 'secret'));
    return startJob(this.#addon, make, UNCONTROLLED);
  }

  wrappedDeks(): Uint8Array {
    return guarded(() => this.#addon.wrappedDeks(this.handle));
  }

  installDeks(deks: Secret): void {
    guarded(() => this.#addon.installDeks(this.handle, handleOf(deks, 'secret')));
  }

  exportDeks(): Secret {
    const handle = guarded(() => this.#addon.exportDeks(this.handle));
    return new NativeSecret(this.#addon, handle);
  }

  dispose(): void {
    this.closeHandle();
  }
}
