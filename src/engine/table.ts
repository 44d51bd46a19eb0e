import type { Addon, TableHandle } from './addon.js';
import { guarded } from './fault.js';
import { handleOf, NativeObject } from './native-object.js';
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

  dispose(): void {
    this.closeHandle();
  }
}
