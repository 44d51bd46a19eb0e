import type { WorkOptions } from '../writer/options.js';

type Report = NonNullable<WorkOptions['onProgress']>;

/** One count of bytes for pieces of work that are done one after the other, each of which reports from 0 to a total of its own. */
export class SuccessiveProgress {
  readonly #report: Report;
  readonly #total: number;
  /** Of the pieces that are done. */
  #before = 0;
  #told = -1;

  /** @param total bytes of all pieces at the most: what need not be done is made up for by `finish` */
  constructor(report: Report, total: number) {
    this.#report = report;
    this.#total = total;
  }

  /** For the `onProgress` of each piece. */
  readonly onProgress = (done: number, total: number): void => {
    this.#tell(this.#before + done);
    if (done === total) this.#before += total;
  };

  /** Once all is done. */
  finish(): void {
    this.#tell(this.#total);
  }

  #tell(done: number): void {
    if (done <= this.#told) return;
    this.#told = done;
    this.#report(done, this.#total);
  }
}
