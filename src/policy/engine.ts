import { isErrorOfKind } from '../options.js';
/** Exports of policy.wasm (native/rust/policy/src/lib.rs, native/rust/meter/src/main.rs). */
interface Exports {
  memory: WebAssembly.Memory;
  alloc(length: number): number;
  /** These answer 0, or with a text: its address in the upper 32 bits, its length in the lower. */
  read(pointer: number, length: number): bigint;
  compile(): bigint;
  analyse(): bigint;
  check_calls(): bigint;
  ask(index: number): bigint;
  /** Why it panicked (native/rust/policy/src/panics.rs). */
  panicked(): number;
  fuel: WebAssembly.Global<bigint>;
  stack: WebAssembly.Global<number>;
  memory_denied: WebAssembly.Global<number>;
  shadow_stack: WebAssembly.Global<number>;
}

/** What the engine did not come to an end for. */
export type Exhausted =
  | 'fuel'
  | 'memory'
  | 'stack'
  /** The calling thread has less stack than policies may use. */
  | 'thread stack'
  /** What a format of `sprintf` can ask for. */
  | 'format'
  /** A fault of the engine itself. */
  | 'engine';

/** The engine stopped half-way. It is of no use any more. */
export class EngineStopped extends Error {
  override readonly name = 'EngineStopped';

  constructor(
    readonly exhausted: Exhausted,
    cause: unknown,
  ) {
    super(`the policy engine stopped: ${exhausted}`, { cause });
  }
}

/**
 * Native stack for the functions of the engine that call themselves, in bytes as the meter counts them. Compilers need up to
 * twice as much, which the smallest stack of a main thread (1 MB in V8) has twice over, so that the engine's own limit is the
 * one that ends a recursion, at the same depth everywhere.
 */
const STACK_BYTES = 256 * 1024;
/** As good as endless. */
const READING_FUEL = 2n ** 62n;

/** By number: causes of panics that are the policy's own doing. */
const PANICS: readonly (Exhausted | undefined)[] = [undefined, 'memory', 'format'];

/**
 * One instance of the policy engine, for one policy: nothing is left over for the next. It runs in the calling thread, and does
 * as much as it has fuel for. An answer is JSON text.
 */
export class PolicyEngine {
  readonly #exports: Exports;
  #given = 0n;

  /** @throws RangeError where there is no memory for another instance */
  constructor(module: WebAssembly.Module) {
    this.#exports = new WebAssembly.Instance(module).exports as unknown as Exports;
  }

  /** What is left of the fuel. */
  get fuel(): bigint {
    const { value } = this.#exports.fuel;
    return value < 0n ? 0n : value;
  }

  /** What has been used of it. */
  get used(): bigint {
    return this.#given - this.fuel;
  }

  refuel(fuel: bigint): void {
    this.#given = fuel;
    this.#exports.fuel.value = fuel;
  }

  /**
   * Takes the request in, which is work that the policy does not choose, linear in its length, and costs no fuel.
   *
   * @param request see `encodeRequest`
   * @returns why it cannot be worked with
   * @throws EngineStopped
   */
  read(request: Uint8Array): string | undefined {
    const engine = this.#exports;
    engine.fuel.value = READING_FUEL;
    const refusal = this.#answer(() => {
      const pointer = engine.alloc(request.length);
      new Uint8Array(engine.memory.buffer, pointer, request.length).set(request);
      return engine.read(pointer, request.length);
    });
    this.refuel(this.#given);
    return refusal;
  }

  /** Parses the policy. @returns why it cannot be. @throws EngineStopped */
  compile(): string | undefined {
    return this.#answer(() => this.#exports.compile());
  }

  /** Analyses all of the policy. @returns what is wrong with it. @throws EngineStopped */
  analyse(): string | undefined {
    return this.#answer(() => this.#exports.analyse());
  }

  /** Looks at every call in the policy. @returns which one cannot be made. @throws EngineStopped */
  checkCalls(): string | undefined {
    return this.#answer(() => this.#exports.check_calls());
  }

  /** @param index of a tensor in the request, if it has any. @throws EngineStopped */
  ask(index = 0): string {
    return this.#answer(() => this.#exports.ask(index))!;
  }

  #answer(work: () => bigint): string | undefined {
    const result = BigInt.asUintN(64, this.#run(work));
    if (result === 0n) return undefined;
    const pointer = Number(result >> 32n);
    const length = Number(result & 0xffff_ffffn);
    // A new view each time: the memory's buffer is replaced when it grows.
    return new TextDecoder().decode(new Uint8Array(this.#exports.memory.buffer, pointer, length));
  }

  #run<Result>(work: () => Result): Result {
    this.#exports.stack.value = STACK_BYTES;
    try {
      return work();
    } catch (error) {
      throw new EngineStopped(this.#exhausted(error), error);
    }
  }

  /** By what the engine left behind: the words of traps differ from one runtime to the next. */
  #exhausted(error: unknown): Exhausted {
    const { fuel, stack, memory_denied, shadow_stack } = this.#exports;
    if (fuel.value < 0n) return 'fuel';
    if (stack.value < 0 || shadow_stack.value < 0) return 'stack';
    if (memory_denied.value !== 0) return 'memory';
    // In V8 and JavaScriptCore.
    if (isErrorOfKind(error, 'RangeError')) return 'thread stack';
    return PANICS[this.#exports.panicked()] ?? 'engine';
  }
}
