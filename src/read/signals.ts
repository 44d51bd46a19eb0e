import { setMaxListeners } from 'node:events';

/** Several signals as one, for as long as one piece of work takes. */
export interface LinkedSignal {
  readonly signal: AbortSignal;
  /** To be called when the work has ended: the sources forget about it. */
  readonly unlink: () => void;
}

/**
 * A signal that aborts when any of the given ones does, with its reason. Unlike with `AbortSignal.any`, nothing is left behind on
 * signals that live long: a server makes millions of reads on one open file.
 */
export function linkSignals(signals: readonly (AbortSignal | undefined)[]): LinkedSignal {
  const sources = signals.filter((signal) => signal !== undefined);
  // As many listeners as reads under way: that is no leak, and Node need not warn of one.
  if (sources.length > 0) setMaxListeners(0, ...sources);
  const aborted = sources.find((signal) => signal.aborted);
  const only = aborted ?? (sources.length === 1 ? sources[0] : undefined);
  if (only !== undefined) return { signal: only, unlink: () => undefined };
  const controller = new AbortController();
  const abort = (event: Event): void => controller.abort((event.target as AbortSignal).reason);
  for (const source of sources) source.addEventListener('abort', abort);
  return {
    signal: controller.signal,
    unlink: () => {
      for (const source of sources) source.removeEventListener('abort', abort);
    },
  };
}
