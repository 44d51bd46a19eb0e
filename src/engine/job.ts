import { onAbort } from '../abort.js';
import type { Addon, JobHandle } from './addon.js';
import { asFault, guarded } from './native-fault.js';

/** What a caller can do while a job runs. */
export interface JobControl {
  signal: AbortSignal | undefined;
  /** Called now and then with bytes done and total, and once when all is done. What it throws ends the job. */
  onProgress: ((done: number, total: number) => void) | undefined;
}

const PROGRESS_INTERVAL_MS = 50;

/**
 * Starts a job on the pool's threads.
 *
 * @param make the job, over memory that nobody can take away: see memory.ts
 */
export async function startJob<Result>(
  addon: Addon,
  make: () => JobHandle<Result>,
  { signal, onProgress }: JobControl,
): Promise<Result> {
  const job = guarded(make);
  const cancel = (): void => addon.cancelJob(job);
  const progress = onProgress && new ProgressReporter(addon, job, onProgress, cancel);
  // A job that is cancelled before it is started does nothing.
  if (signal?.aborted) cancel();
  const ignore = onAbort(signal, cancel);
  try {
    const result = await addon.startJob(job);
    progress?.finish();
    return result;
  } catch (error) {
    throw progress?.failure ? progress.failure.error : asFault(error);
  } finally {
    ignore();
    progress?.stop();
  }
}

/**
 * Runs a job, blocking. A signal that is aborted already cancels it.
 *
 * @param make called when the caller's code has run for the last time: the job may be over any memory
 */
export function runJob<Result>(
  addon: Addon,
  make: () => JobHandle<Result>,
  { signal, onProgress }: JobControl,
): Result {
  const isAborted = signal?.aborted === true;
  const job = guarded(make);
  if (isAborted) addon.cancelJob(job);
  const result = guarded(() => addon.runJob(job));
  if (onProgress) reportEnd(addon, job, onProgress);
  return result;
}

/** For jobs that are over too soon to be cancelled or watched. */
export const UNCONTROLLED: JobControl = { signal: undefined, onProgress: undefined };

class ProgressReporter {
  failure: { error: unknown } | undefined;
  readonly #report: () => void;
  readonly #finish: () => void;
  readonly #timer: NodeJS.Timeout;

  constructor(
    addon: Addon,
    job: JobHandle<unknown>,
    onProgress: NonNullable<JobControl['onProgress']>,
    cancel: () => void,
  ) {
    this.#report = () => {
      const total = addon.jobTotal(job);
      if (total > 0) onProgress(addon.jobDone(job), total);
    };
    this.#finish = () => reportEnd(addon, job, onProgress);
    this.#timer = setInterval(() => {
      try {
        this.#report();
      } catch (error) {
        this.failure ??= { error };
        cancel();
        this.stop();
      }
    }, PROGRESS_INTERVAL_MS);
  }

  finish(): void {
    if (this.failure === undefined) this.#finish();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function reportEnd(addon: Addon, job: JobHandle<unknown>, onProgress: NonNullable<JobControl['onProgress']>): void {
  const total = addon.jobTotal(job);
  onProgress(total, total);
}
