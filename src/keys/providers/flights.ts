import { onAbort, throwIfAborted } from '../../abort.js';
import { AbortError } from '../../errors.js';

interface Flight<Result> {
  readonly controller: AbortController;
  readonly result: Promise<Result>;
  waiting: number;
}

/** Work that several callers want at once is done once. It goes on as long as one of them waits. */
export class SingleFlight<Result> {
  readonly #flights = new Map<string, Flight<Result>>();

  /**
   * Joins the work of that name, or starts it.
   *
   * @throws AbortError when `signal` ends this caller's wait; whatever `work` throws
   */
  async join(name: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    throwIfAborted(signal);
    const flight = this.#flights.get(name) ?? this.#start(name, work);
    flight.waiting++;
    let stay: () => void = () => undefined;
    const left = new Promise<never>((_, reject) => {
      stay = onAbort(signal, () => reject(new AbortError(signal.reason)));
    });
    try {
      return await Promise.race([flight.result, left]);
    } finally {
      stay();
      if (--flight.waiting === 0) {
        this.#forget(name, flight);
        flight.controller.abort();
      }
    }
  }

  #start(name: string, work: (signal: AbortSignal) => Promise<Result>): Flight<Result> {
    const controller = new AbortController();
    const flight: Flight<Result> = { controller, result: work(controller.signal), waiting: 0 };
    this.#flights.set(name, flight);
    // Also where nobody waits any more, a failure is not unhandled.
    flight.result.then(
      () => this.#forget(name, flight),
      () => this.#forget(name, flight),
    );
    return flight;
  }

  #forget(name: string, flight: Flight<Result>): void {
    if (this.#flights.get(name) === flight) this.#flights.delete(name);
  }
}
