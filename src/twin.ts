/**
 * One algorithm, two forms. A step is a piece of work that can be done while blocking or by awaiting; a procedure that is
 * written as a generator of steps runs as either, so that `safeOpen` and `safeOpenSync` cannot drift apart.
 *
 * ```ts
 * function* open(path: string): Twin<Header> {
 *   const source = yield* step(() => engine.openFileSync(path), () => engine.openFile(path));
 *   …
 * }
 * await runAsync(open(path));  // or runSync(open(path))
 * ```
 */
interface Step {
  sync(): unknown;
  async(): Promise<unknown>;
}

export type Twin<Result> = Generator<Step, Result, unknown>;

export function* step<Result>(sync: () => Result, async: () => Promise<Result>): Twin<Result> {
  return (yield { sync, async }) as Result;
}

/** How long a procedure may hold the event loop before it gives way, in milliseconds. */
const MAX_HELD_MS = 3;

/** Browsers have no setImmediate, and clamp timers to milliseconds; a message arrives at the next turn. */
export const nextTurn: () => Promise<void> =
  typeof setImmediate === 'function'
    ? () => new Promise((resolve) => setImmediate(resolve))
    : () =>
        new Promise((resolve) => {
          const { port1, port2 } = new MessageChannel();
          // As browsers type it.
          (port1 as unknown as { onmessage: () => void }).onmessage = () => {
            port1.close();
            resolve();
          };
          port2.postMessage(null);
        });

const BREATH: Step = { sync: () => undefined, async: nextTurn };

/**
 * To be done now and then, every hundred microseconds or so, by what goes through lists as long as a header has tensors. In the
 * awaiting form the event loop gets its turn if it has been held for long; in the blocking form it costs next to nothing.
 */
export function* breathe(): Twin<void> {
  yield BREATH;
}

/** How many items of a list to deal with between two breaths. */
export const ITEMS_PER_BREATH = 128;

/** `list.map`, giving way. */
export function* mapped<Item, Result>(
  list: ArrayLike<Item>,
  convert: (item: Item, index: number) => Result,
): Twin<Result[]> {
  const results: Result[] = [];
  for (let i = 0; i < list.length; i++) {
    if (i % ITEMS_PER_BREATH === 0) yield BREATH;
    results.push(convert(list[i]!, i));
  }
  return results;
}

export function runSync<Result>(procedure: Twin<Result>): Result {
  let next = procedure.next();
  while (!next.done) {
    let result: unknown;
    try {
      result = next.value.sync();
    } catch (error) {
      next = procedure.throw(error);
      continue;
    }
    next = procedure.next(result);
  }
  return next.value;
}

export async function runAsync<Result>(procedure: Twin<Result>): Promise<Result> {
  let since = performance.now();
  let next = procedure.next();
  while (!next.done) {
    if (next.value === BREATH && performance.now() - since < MAX_HELD_MS) {
      next = procedure.next();
      continue;
    }
    let result: unknown;
    try {
      result = await next.value.async();
    } catch (error) {
      since = performance.now();
      next = procedure.throw(error);
      continue;
    }
    since = performance.now();
    next = procedure.next(result);
  }
  return next.value;
}
