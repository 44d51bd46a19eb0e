/**
 * Runs work that Ctrl-C (or SIGTERM) ends through an `AbortSignal`, so that the library can clean up behind itself. The
 * second signal has its usual effect: it ends the process at once.
 */
export async function interruptible<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const abort = (): void => {
    restore();
    controller.abort();
  };
  const restore = (): void => {
    process.removeListener('SIGINT', abort);
    process.removeListener('SIGTERM', abort);
  };
  process.on('SIGINT', abort);
  process.on('SIGTERM', abort);
  try {
    return await work(controller.signal);
  } finally {
    restore();
  }
}
