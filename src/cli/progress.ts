import { SingleBar } from 'cli-progress';
import { formatBytes } from './sizes.js';

/** Work that is over sooner shows no bar: it would only flicker. */
export const DELAY_MS = 500;

/** A bar is for people who wait: on a terminal, and not if they asked for quiet. */
export function wantsProgress({ isTerminal, quiet }: { isTerminal: boolean; quiet: boolean }): boolean {
  return isTerminal && !quiet;
}

/** A progress bar on standard error that appears once the work has taken `DELAY_MS`, and is gone when it ends. */
export class ProgressBar {
  readonly #started = performance.now();
  readonly #enabled: boolean;
  readonly #label: string;
  readonly #stream: NodeJS.WriteStream;
  #bar: SingleBar | undefined;

  constructor(label: string, quiet: boolean, stream: NodeJS.WriteStream = process.stderr) {
    this.#label = label;
    this.#stream = stream;
    this.#enabled = wantsProgress({ isTerminal: stream.isTTY, quiet });
  }

  /** For `onProgress`. */
  readonly report = (done: number, total: number): void => {
    if (!this.#enabled) return;
    if (this.#bar === undefined) {
      if (performance.now() - this.#started < DELAY_MS || done >= total) return;
      this.#bar = this.#createBar();
      this.#bar.start(total, done);
    }
    this.#bar.update(done);
  };

  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #createBar(): SingleBar {
    return new SingleBar({
      stream: this.#stream,
      format: `${this.#label} [{bar}] {percentage}% | {value} of {total} | {eta_formatted} left`,
      formatValue: (value, _options, type) =>
        type === 'value' || type === 'total' ? formatBytes(value) : String(value),
      barsize: 30,
      clearOnComplete: true,
      // Signals are interrupt.ts's business; a cursor that was hidden would stay so after a second Ctrl-C.
      gracefulExit: false,
      hideCursor: null,
    });
  }
}
