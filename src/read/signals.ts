import { onAbort } from '../abort.js';

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
  const aborted = sources.find((signal) => signal.aborted);
  const only = aborted ?? (sources.length === 1 ? sources[0] : undefined);
  if (only !== undefined) return { signal: only, unlink: () => undefined };
  const controller = new AbortController();
  const ignores = sources.map((source) => onAbort(source, () => controller.abort(source.reason)));
  return {
    signal: controller.signal,
    unlink: () => {
      for (const ignore of ignores) ignore();
    },
  };
}
