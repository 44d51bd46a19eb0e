import { onAbort, throwIfAborted } from '../../abort.js';
import { AbortError } from '../../errors.js';
import { keyUnavailable } from '../unavailable.js';
import { withoutPrototype } from '../../options.js';

export interface Deadline<Result> {
  readonly timeoutMs: number;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
  /** Gets a result that came after everybody had stopped waiting. */
  readonly late?: (result: Result) => void;
}

/**
 * Waits for somebody else's code no longer than until the deadline, and tells it to stop then.
 *
 * @throws AbortError when the caller gave up; KeyUnavailable when time ran out; whatever `work` throws
 */
export async function withDeadline<Result>(
  work: (signal: AbortSignal) => Result | Promise<Result>,
  deadline: Deadline<Result>,
): Promise<Result> {
  const { timeoutMs, signal, late } = withoutPrototype(deadline);
  throwIfAborted(signal);
  const controller = new AbortController();
  const stop = (error: Error): void => controller.abort(error);
  const ignore = onAbort(signal, () => stop(new AbortError(signal?.reason)));
  const timer = setTimeout(
    () => stop(keyUnavailable(`no answer within ${timeoutMs} ms`, { retryable: true })),
    timeoutMs,
  );

  const stopped = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error), { once: true });
  });
  // An async function, so that what `work` throws at once is a rejection too.
  const done = (async () => {
    const result = await work(controller.signal);
    if (controller.signal.aborted) late?.(result);
    return result;
  })();
  try {
    return await Promise.race([done, stopped]);
  } finally {
    clearTimeout(timer);
    ignore();
  }
}
