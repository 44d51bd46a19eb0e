import type { Addon, PublicationHandle } from './addon.js';
import { guarded } from './native-fault.js';
import { NativeSource } from './files.js';
import { handleOf, NativeObject } from './native-object.js';
import { NativeTable } from './table.js';
import type { EngineSharing, Publication, Source, TensorTable } from './types.js';

class NativePublication extends NativeObject<'publication'> implements Publication {
  readonly token: string;

  constructor(addon: Addon, handle: PublicationHandle, token: string) {
    super(handle, (publication) => addon.unshare(publication));
    this.token = token;
  }

  withdraw(): void {
    this.closeHandle();
  }
}

/** Sharing between threads, by the addon's registry of tokens. */
export class NativeSharing implements EngineSharing {
  readonly #addon: Addon;

  constructor(addon: Addon) {
    this.#addon = addon;
  }

  share(source: Source | null, table: TensorTable, facts: Uint8Array): Publication {
    const { token, publication } = guarded(() =>
      this.#addon.share(source && handleOf(source, 'source'), handleOf(table, 'table'), facts),
    );
    return new NativePublication(this.#addon, publication, token);
  }

  attach(
    token: string,
    pathOf: (facts: Uint8Array) => string | undefined,
  ): { source: Source | null; table: TensorTable; facts: Uint8Array } {
    const { source, table, facts } = guarded(() => this.#addon.attach(token));
    return {
      source: source && new NativeSource(this.#addon, source, pathOf(facts)),
      table: new NativeTable(this.#addon, table),
      facts,
    };
  }
}
