import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';

/** Releases what belongs to an object that was collected without having been closed. */
const forgotten = new FinalizationRegistry<() => void>((release) => release());

/**
 * Something that can be closed while jobs still use it: it is released when the last of them has ended, as with the descriptors
 * and keys of the native engine.
 */
export class Lease {
  readonly #name: string;
  readonly #release: () => void;
  #users = 0;
  #closed = false;

  /** @param release called once. It must not refer to the object, at whose collection it is called. */
  constructor(name: string, release: () => void) {
    this.#name = name;
    this.#release = release;
    forgotten.register(this, release, this);
  }

  /** @throws EngineFault `Closed` */
  assertOpen(): void {
    if (this.#closed) throw closedFault(this.#name);
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#releaseUnused();
  }

  /**
   * Does something, during which none of the leases is released.
   *
   * @throws EngineFault `Closed`
   */
  static *using<Result>(leases: readonly Lease[], work: () => Twin<Result>): Twin<Result> {
    for (const lease of leases) lease.assertOpen();
    for (const lease of leases) lease.#users++;
    try {
      return yield* work();
    } finally {
      for (const lease of leases) {
        lease.#users--;
        lease.#releaseUnused();
      }
    }
  }

  #releaseUnused(): void {
    if (!this.#closed || this.#users > 0) return;
    // It says whether it was released already.
    if (forgotten.unregister(this)) this.#release();
  }
}

export function closedFault(name: string): EngineFault {
  return new EngineFault('Closed', `${name} has been closed or disposed of`);
}
