import type { Model } from './model.js';

/** A tensor to read: its file and its index in that file's data order. */
export interface TensorRef {
  model: Model;
  index: number;
}

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
