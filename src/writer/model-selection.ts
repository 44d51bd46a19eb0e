import type { Header } from '../format/header.js';
import { summariesOf } from './encrypt-file.js';
import { selectTensors } from './select.js';
import type { TensorSelection, TensorSummary } from './select.js';

/** Which tensors of a model are encrypted: each part of the selection must fit a tensor of the model, not of each of its files. */
export class ModelSelection {
  readonly #selection: TensorSelection | undefined;
  readonly #tensors: TensorSummary[] = [];
  /** Null: all of them. */
  #selected: ReadonlySet<string> | null = null;

  constructor(selection: TensorSelection | undefined) {
    this.#selection = selection;
  }

  /** Adds the tensors of a file. */
  add(header: Header): void {
    if (this.#selection === undefined) return;
    for (const tensor of summariesOf(header)) this.#tensors.push(tensor);
  }

  /** Once all files were added. @throws {CryptoTensorsError} `InvalidOption` for a part that fits no tensor */
  choose(): void {
    if (this.#selection === undefined) return;
    const chosen = selectTensors(this.#selection, this.#tensors);
    this.#selected = new Set(this.#tensors.filter((_, i) => chosen[i]).map(({ name }) => name));
    this.#tensors.length = 0;
  }

  /** One flag per tensor of a file. */
  of(tensors: readonly TensorSummary[]): boolean[] {
    const selected = this.#selected;
    return tensors.map(({ name }) => selected === null || selected.has(name));
  }
}
