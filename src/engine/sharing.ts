import type { Addon } from './addon.js';
import { guarded } from './native-fault.js';
import { NativeSource } from './files.js';
import { handleOf } from './native-object.js';
import { NativeTable } from './table.js';
import type { EngineSharing, Source, TensorTable } from './types.js';

/** Sharing between threads, by the addon's registry of tokens. */
export class NativeSharing implements EngineSharing {
  readonly #addon: Addon;

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  share(source: Source | null, table: TensorTable): string {
    return guarded(() => this.#addon.share(source && handleOf(source, 'source'), handleOf(table, 'table')));
  }

  unshare(token: string): void {
    this.#addon.unshare(token);
  }

  attach(token: string, path: string | undefined): { source: Source | null; table: TensorTable } {
    const { source, table } = guarded(() => this.#addon.attach(token));
    return {
      source: source && new NativeSource(this.#addon, source, path),
      table: new NativeTable(this.#addon, table),
    };
  }
}
