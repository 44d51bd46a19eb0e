import { EngineFault, asFault, isEarlier, relocated } from './fault.js';
import type { Place } from './io.js';
import type { Lease } from './lease.js';
import type { Piece } from './piece.js';
import type { NodeSource } from './source.js';

const PROGRESS_INTERVAL_MS = 50;

/** A piece of a job, and what becomes of its result. */
export interface JobPiece {
  piece: Piece;
  accept?: (result: Uint8Array) => void;
}

/** A whole request. */
export interface JobSpec {
  sources: readonly NodeSource[];
  target: Place;
  /** What must stay open until the job has ended. */
  leases: readonly Lease[];
  /** Drawn from as threads become free, so that a large job's pieces are never all in memory. */
  pieces: Generator<JobPiece, void>;
  /** Bytes in all, for progress. */
  total: number;
  /** Whether bytes are read that neither a tag nor a digest covers. */
  unchecked: boolean;
  /** Ranges of the target that the request names, to be wiped after a failure: offset, length. */
  ranges: () => Iterable<[offset: number, length: number]>;
  /** Called once, at the end, whatever the outcome. */
  cleanUp?: () => void;
  /** Threads to use at the most; 0: any number. */
  threads: number;
  signal: AbortSignal | undefined;
  /** Called now and then, and once when all is done. What it throws ends the job. */
  onProgress: ((done: number, total: number) => void) | undefined;
}

/** A request under way, whoever does the work. */
export class Job {
  readonly sources: readonly NodeSource[];
  readonly target: Place;
  readonly threads: number;
  readonly signal: AbortSignal | undefined;
  readonly #spec: JobSpec;
  #fault: unknown = undefined;
  #failed = false;
  #ended = false;
  /** One piece is planned ahead: a job that has handed out its last one is known to have. */
  #ahead: JobPiece | null = null;
  #exhausted = false;
  #done = 0;
  #nextReport = performance.now() + PROGRESS_INTERVAL_MS;

  /** @throws EngineFault `Closed` */
  constructor(spec: JobSpec) {
    this.sources = spec.sources;
    this.target = spec.target;
    this.threads = spec.threads === 0 ? Number.POSITIVE_INFINITY : spec.threads;
    this.signal = spec.signal;
    this.#spec = spec;
    for (const lease of spec.leases) lease.assertOpen();
    for (const lease of spec.leases) lease.use();
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Whether there is nothing left to hand out. */
  get exhausted(): boolean {
    return this.#failed || this.#exhausted;
  }

  /** The next piece of work; null if there is none. */
  next(): JobPiece | null {
    if (this.exhausted) return null;
    try {
      const piece = this.#ahead ?? this.#plan();
      this.#ahead = this.#plan();
      this.#exhausted = this.#ahead === null;
      return piece;
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  #plan(): JobPiece | null {
    return this.#spec.pieces.next().value ?? null;
  }

  /** Ends the job with this outcome, once the threads have let go of it. Of several faults the earliest in the file counts. */
  fail(error: unknown): void {
    if (this.#ended) return;
    if (
      !this.#failed ||
      (error instanceof EngineFault && this.#fault instanceof EngineFault && isEarlier(error, this.#fault))
    ) {
      this.#fault = error;
    }
    this.#failed = true;
  }

  advance(bytes: number): void {
    this.#done += bytes;
    if (this.#failed || performance.now() < this.#nextReport) return;
    this.#report(this.#done);
  }

  #report(done: number): void {
    this.#nextReport = performance.now() + PROGRESS_INTERVAL_MS;
    this.#spec.onProgress?.(done, this.#spec.total);
  }

  /**
   * To be called once, when no thread touches the job's memory any more. Settles what the outcome is, wipes after a failure.
   *
   * @throws what the job failed with
   */
  conclude(): void {
    this.#ended = true;
    try {
      this.#ahead?.piece.keys.fill(0);
      this.#spec.pieces.return();
      this.#checkSources();
      if (this.#failed) throw this.#fault;
      this.#report(this.#spec.total);
    } catch (error) {
      this.#wipe();
      throw error;
    } finally {
      this.#spec.cleanUp?.();
      for (const lease of this.#spec.leases) lease.done();
    }
  }

  /** What a tag or digest covers needs no other proof; a mismatch may be the file's changing under the reader. */
  #checkSources(): void {
    const fault = this.#fault instanceof EngineFault ? this.#fault : null;
    const mismatch = fault?.code === 'BadTag' || fault?.code === 'BadDigest';
    if (!mismatch && (this.#failed || !this.#spec.unchecked)) return;
    try {
      for (const source of this.sources) source.checkUnchanged();
    } catch (error) {
      throw relocated(asFault(error), { tensor: fault?.tensor ?? -1, chunk: fault?.chunk ?? -1 });
    }
  }

  #wipe(): void {
    if (this.target.kind !== 'memory') return;
    for (const [offset, length] of this.#spec.ranges()) this.target.bytes.fill(0, offset, offset + length);
  }
}
