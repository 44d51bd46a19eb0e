import { AbortError } from './errors.js';

/** Who waits for each signal, so that a signal has one listener of this library's, however many pieces of work it can end. */
const waiting = new WeakMap<AbortSignal, Waiting>();

interface Waiting {
  readonly listeners: Set<() => void>;
  readonly handler: () => void;
}

/**
 * Calls `listener` when the signal is aborted, unless it is already: that the caller asks before. A caller's signal can live
 * long and end many reads at once; Node.js warns of more than ten listeners, and how many there may be is the caller's to say.
 *
 * @returns what ends the waiting. Idempotent
 */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (signal === undefined) return () => undefined;
  const { listeners, handler } = waiting.get(signal) ?? listenTo(signal);
  // A function of its own: one listener may wait twice.
  const call = (): void => listener();
  listeners.add(call);
  return () => {
    if (!listeners.delete(call) || listeners.size > 0) return;
    signal.removeEventListener('abort', handler);
    waiting.delete(signal);
  };
}

/** @throws {AbortError} if the signal has been aborted */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new AbortError(signal.reason);
}

/** Waits for somebody else's work until the signal is aborted, whether that heeds it or not. @throws AbortError; whatever `work` throws */
export async function untilAbort<Result>(
  work: () => Promise<Result>,
  signal: AbortSignal | undefined,
): Promise<Result> {
  if (signal === undefined) return work();
  throwIfAborted(signal);
  let ignore = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    ignore = onAbort(signal, () => reject(new AbortError(signal.reason)));
  });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    ignore();
  }
}

function listenTo(signal: AbortSignal): Waiting {
  const listeners = new Set<() => void>();
  const handler = (): void => {
    for (const listener of [...listeners]) listener();
  };
  const entry = { listeners, handler };
  waiting.set(signal, entry);
  signal.addEventListener('abort', handler);
  return entry;
}
