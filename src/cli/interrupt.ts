/** Signals that end a command. SIGHUP comes when a terminal is closed, SIGQUIT from Ctrl-\\. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/**
 * Runs work that Ctrl-C (or another of these signals) ends through an `AbortSignal`, so that the library can clean up behind itself.
 * The second signal has its usual effect: it ends the process at once.
 */
export async function interruptible<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const abort = (): void => {
    restore();
    controller.abort();
  };
  const restore = (): void => {
    for (const name of ENDING) process.removeListener(name, abort);
  };
  for (const name of ENDING) process.on(name, abort);
  try {
    return await work(controller.signal);
  } finally {
    restore();
  }
}
