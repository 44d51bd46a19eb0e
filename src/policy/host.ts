import { onAbort } from '../abort.js';
import { runAsync, runSync, step } from '../twin.js';
import type { Twin } from '../twin.js';
import { Sandbox } from './sandbox.js';
import type { Heard } from './sandbox.js';

/** One evaluation. */
export interface Job {
  /** See `encodeRequest`. Transferred to the worker. */
  request: Uint8Array<ArrayBuffer>;
  /** Time for the evaluation, counted from when a worker takes it up. */
  deadlineMs: number;
  signal: AbortSignal | undefined;
}

/** How an evaluation ended. */
export type Outcome =
  /** With the JSON text of the engine's answer. */
  | { type: 'answer'; text: string }
  /** The engine stopped: memory or stack exhausted, or a panic. */
  | { type: 'trap'; reason: string }
  /** At its deadline, or because its signal was aborted. */
  | { type: 'silence' }
  /** There was no worker to ask, or it went away. */
  | { type: 'unavailable'; reason: string };

/** Time for a worker to start in. Only a machine that is very short of time, or a broken installation, needs as much. */
const START_MS = 10_000;

/** Workers that wait for work. The Sync forms have their own: while they block, they could not wait for one that is busy. */
const idle: { async?: Sandbox | undefined; sync?: Sandbox | undefined } = {};
/** The engine, once the first worker has compiled it. */
let compiled: WebAssembly.Module | undefined;
/** Settles when all evaluations so far have ended. */
let turn: Promise<unknown> = Promise.resolve();

/** Evaluates in a worker, after whatever came before. */
export function evaluateInWorker(job: Job): Promise<Outcome> {
  const { signal } = job;
  const outcome = turn.then((): Outcome | Promise<Outcome> => {
    return signal?.aborted ? { type: 'silence' } : runAsync(useWorker('async', job));
  });
  turn = outcome.catch(() => undefined);
  if (signal === undefined) return outcome;
  // An abort also ends the waiting for one's turn.
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve({ type: 'silence' });
    outcome.finally(onAbort(signal, stop)).then(resolve, reject);
  });
}

/** The same, blocking the thread. */
export function evaluateInWorkerSync(job: Job): Outcome {
  return runSync(useWorker('sync', job));
}

/** Takes the idle worker or starts one. Only a worker that has answered is kept for the next evaluation. */
function* useWorker(form: keyof typeof idle, job: Job): Twin<Outcome> {
  let sandbox = idle[form];
  idle[form] = undefined;
  if (sandbox === undefined || sandbox.isLost) {
    sandbox = new Sandbox(compiled);
    const first = yield* listen(sandbox, START_MS, job.signal);
    if (first.type !== 'ready') {
      sandbox.end();
      return {
        type: 'unavailable',
        reason: 'reason' in first ? first.reason : `it did not start within ${START_MS} ms`,
      };
    }
    compiled = first.module;
  }

  sandbox.post(job.request);
  const heard = yield* listen(sandbox, job.deadlineMs, job.signal);
  if (heard.type === 'answer') idle[form] = sandbox;
  else sandbox.end();
  switch (heard.type) {
    case 'answer':
    case 'trap':
    case 'silence':
      return heard;
    case 'lost':
    case 'failed':
      return { type: 'unavailable', reason: heard.reason };
    case 'ready':
      return { type: 'unavailable', reason: 'it spoke out of turn' };
  }
}

function listen(sandbox: Sandbox, milliseconds: number, signal: AbortSignal | undefined): Twin<Heard> {
  return step(
    () => sandbox.nextSync(milliseconds),
    () => sandbox.next(milliseconds, signal),
  );
}
