import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { runAsync, runSync } from '../twin.js';
import { Sandbox } from './sandbox.js';
import type { Heard } from './sandbox.js';

/** One evaluation, as the sandbox sees it. */
export interface Job {
  /** See `encodeRequest`. Transferred to the worker. */
  request: Uint8Array<ArrayBuffer>;
  /** Time for the evaluation, counted from when a worker takes it up. */
  deadlineMs: number;
  signal: AbortSignal | undefined;
}

/** How an evaluation ended, as far as the host can tell. */
export type Outcome =
  /** JSON text of the engine's answer. */
  | { type: 'answer'; text: string }
  /** The engine stopped: memory or stack exhausted, or a panic. */
  | { type: 'trap'; reason: string }
  /** It was ended at its deadline, or because its signal was aborted. */
  | { type: 'ended' }
  /** There was no worker to ask, or it went away. */
  | { type: 'unavailable'; reason: string };

/** Time for a worker to start in. Only a machine that is very short of time, or a broken installation, needs as much. */
const START_MS = 10_000;

/** Workers that wait for work. The Sync forms have their own: while they block, one that is busy could not be waited for. */
const idle: { async?: Sandbox | undefined; sync?: Sandbox | undefined } = {};
/** The engine, compiled by the first worker. */
let compiled: WebAssembly.Module | undefined;
/** Settles when all evaluations so far have ended. */
let turn: Promise<unknown> = Promise.resolve();

/** Evaluates in a worker, after whatever came before. Never rejects. */
export function evaluateInWorker(job: Job): Promise<Outcome> {
  const { signal } = job;
  const outcome = turn.then(() => (signal?.aborted ? { type: 'ended' as const } : runAsync(useWorker('async', job))));
  turn = outcome;
  if (signal === undefined) return outcome;
  // An abort also ends the waiting for one's turn.
  return new Promise((resolve) => {
    const stop = (): void => resolve({ type: 'ended' });
    signal.addEventListener('abort', stop, { once: true });
    void outcome.then((settled) => {
      signal.removeEventListener('abort', stop);
      resolve(settled);
    });
  });
}

/** The same, blocking the thread. */
export function evaluateInWorkerSync(job: Job): Outcome {
  return runSync(useWorker('sync', job));
}

/** Takes the idle worker, or starts one; keeps it for the next evaluation only if it has answered this one. */
function* useWorker(form: keyof typeof idle, job: Job): Twin<Outcome> {
  let sandbox: Sandbox | undefined;
  let outcome: Outcome;
  try {
    sandbox = idle[form];
    idle[form] = undefined;
    if (sandbox?.isLost !== false) {
      sandbox = new Sandbox(compiled);
      const failure = yield* awaitStart(sandbox, job.signal);
      if (failure) return failure
    }
  }
}
