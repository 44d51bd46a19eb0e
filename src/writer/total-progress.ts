import type { WorkOptions } from './options.js';

/** One count of bytes for several pieces of work that report by themselves. */
export class TotalProgress {
  readonly #done: Float64Array;
  readonly #sizes: readonly number[];
  readonly #total: number;
  readonly #report: WorkOptions['onProgress'];
  #sum = 0;

  constructor(sizes: readonly number[], report: WorkOptions['onProgress']) {
    this.#sizes = sizes;
    this.#done = new Float64Array(sizes.length);
    this.#total = sizes.reduce((sum, size) => sum + size, 0);
    this.#report = report;
  }

  /** For the `onProgress` of one of them: what it reports counts as its share of the whole. */
  of(index: number): WorkOptions['onProgress'] {
    const report = this.#report;
    if (report === undefined) return undefined;
    return (done, total) => {
      const bytes = total === 0 ? this.#sizes[index]! : Math.round((done / total) * this.#sizes[index]!);
      if (bytes <= this.#done[index]!) return;
      this.#sum += bytes - this.#done[index]!;
      this.#done[index] = bytes;
      report(this.#sum, this.#total);
    };
  }
}
