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
