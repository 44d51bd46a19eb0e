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

  share(source: Source | null, table: TensorTable): Publication {
    const { token, publication } = guarded(() =>
      this.#addon.share(source && handleOf(source, 'source'), handleOf(table, 'table')),
    );
    return new NativePublication(this.#addon, publication, token);
  }

  attach(token: string, path: string | undefined): { source: Source | null; table: TensorTable } {
    const { source, table } = guarded(() => this.#addon.attach(token));
    return {
      source: source && new NativeSource(this.#addon, source, path),
      table: new NativeTable(this.#addon, table),
    };
  }
}
