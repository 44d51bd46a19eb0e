import type { Model } from './model.js';
import type { TensorRef } from './read.js';

/** Where each tensor of a model is, by name. A `Map` is one. */
export interface TensorIndex {
  readonly size: number;
  get(name: string): TensorRef | undefined;
  keys(): Iterable<string>;
  values(): Iterable<TensorRef>;
}

/** The index of a single file: its header has one already, so that nothing is made per tensor. */
export function indexFile(model: Model): TensorIndex {
  const { header } = model;
  return {
    size: header.count,
    get: (name) => {
      const index = header.indexOf(name);
      return index < 0 ? undefined : { model, index };
    },
    keys: () => header.names,
    *values() {
      for (let index = 0; index < header.count; index++) yield { model, index };
    },
  };
}
