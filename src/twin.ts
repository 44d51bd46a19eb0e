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
  let next = procedure.next();
  while (!next.done) {
    let result: unknown;
    try {
      result = await next.value.async();
    } catch (error) {
      next = procedure.throw(error);
      continue;
    }
    next = procedure.next(result);
  }
  return next.value;
}
