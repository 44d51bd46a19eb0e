import { EngineFault } from '../fault.js';

export function closed(name: string): EngineFault {
  return new EngineFault('Closed', `${name} has been closed or disposed of`);
}

/** Releases what belongs to an object that was collected without having been closed. */
const forgotten = new FinalizationRegistry<Lease>((lease) => lease.close());

/**
 * Lets something be closed while jobs still use it: it is released when the last of them has ended, as with the
 * descriptors and keys of the native engine.
 */
export class Lease {
  readonly #name: string;
  readonly #release: () => void;
  #users = 0;
  #closed = false;

  /** `release` is called once. It must not refer to `owner`, at whose collection the lease is closed. */
  constructor(name: string, owner: object, release: () => void) {
    this.#name = name;
    this.#release = release;
    forgotten.register(owner, this);
  }

  /** @throws EngineFault `Closed` */
  assertOpen(): void {
    if (this.#closed) throw closed(this.#name);
  }

  /**
   * Begins a use, which `done` ends.
   *
   * @throws EngineFault `Closed`
   */
  use(): void {
    this.assertOpen();
    this.#users++;
  }

  done(): void {
    this.#users--;
    if (this.#closed && this.#users === 0) this.#release();
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#users === 0) this.#release();
  }
}
