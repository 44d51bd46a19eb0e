import { availableParallelism } from 'node:os';
import { EngineFault, aborted, asFault } from './fault.js';
import type { Job, JobPiece } from './job.js';
import { PoolWorker } from './pool-worker.js';

/** More threads than this share one memory bus for nothing. */
const MAX_THREADS = 4;

/** A job, and the threads that are at it. */
interface Running {
  job: Job;
  workers: Set<PoolWorker>;
  /** To be called once, when no thread is at it and none will be. */
  end: () => void;
}

/**
 * Worker threads, made when there is work for them and kept for reuse. They take one piece at a time, from each job in turn,
 * so that a small read does not wait for a large one.
 */
export class WorkerPool {
  readonly size = Math.min(availableParallelism(), MAX_THREADS);
  #live = 0;
  #idle: PoolWorker[] = [];
  readonly #running = new Map<Job, Running>();
  /** Jobs that another thread may take a piece of, in turn. */
  readonly #waiting = new Set<Running>();

  /** Does all of a job on worker threads. Rejects with what the job failed with. */
  async run(job: Job): Promise<void> {
    await new Promise<void>((resolve) => this.#begin(job, resolve));
    job.conclude();
  }

  /** `letGo` is called once no thread touches the job any more. */
  #begin(job: Job, letGo: () => void): void {
    const abort = () => {
      job.fail(aborted());
      this.#stop(running);
    };
    const running: Running = {
      job,
      workers: new Set(),
      end: () => {
        job.signal?.removeEventListener('abort', abort);
        this.#running.delete(job);
        letGo();
      },
    };
    this.#running.set(job, running);
    if (job.signal?.aborted === true) {
      abort();
      return;
    }
    job.signal?.addEventListener('abort', abort);
    this.#waiting.add(running);
    this.#hand();
  }

  /** Gives work to the threads that have none. */
  #hand(): void {
    for (const running of this.#waiting) {
      if (this.#idle.length === 0 && this.#live === this.size) return;
      this.#waiting.delete(running);
      const piece = running.job.next();
      if (piece === null || !this.#assign(running, piece)) {
        this.#stop(running);
        continue;
      }
      this.#queue(running);
    }
    for (const worker of this.#idle) worker.rest();
  }

  /** False, with the job failed, if there is no thread and none can be had. */
  #assign(running: Running, piece: JobPiece): boolean {
    try {
      const worker = this.#idle.pop() ?? this.#start();
      running.workers.add(worker);
      worker.assign(running.job, piece);
      return true;
    } catch (error) {
      piece.piece.keys.fill(0);
      running.job.fail(new EngineFault('InvalidOption', `no worker thread can be had: ${asFault(error).message}`));
      return false;
    }
  }

  /** Puts a job to the end of the queue, if another thread may work on it. A set that is being gone through visits it again. */
  #queue(running: Running): void {
    if (!running.job.exhausted && running.workers.size < running.job.threads) this.#waiting.add(running);
  }

  /** Ends a job that has failed or has nothing left to hand out, as soon as its threads have let go of it. */
  #stop(running: Running): void {
    this.#waiting.delete(running);
    if (running.job.failed) for (const worker of running.workers) worker.stop();
    if (running.workers.size === 0) running.end();
  }

  #start(): PoolWorker {
    const worker = new PoolWorker({
      free: (job) => {
        this.#idle.push(worker);
        this.#release(worker, job);
      },
      lost: (job) => {
        this.#live--;
        this.#idle = this.#idle.filter((other) => other !== worker);
        if (job !== null) this.#release(worker, job);
      },
    });
    this.#live++;
    return worker;
  }

  #release(worker: PoolWorker, job: Job): void {
    const running = this.#running.get(job)!;
    running.workers.delete(worker);
    if (job.exhausted) this.#stop(running);
    else this.#queue(running);
    this.#hand();
  }
}
