import { readFileSync } from 'node:fs';

/** Exports of policy.wasm (native/rust/policy/src/lib.rs). */
interface Exports {
  memory: WebAssembly.Memory;
  alloc(length: number): number;
  free(pointer: number, length: number): void;
  /** Takes the request over; address of the answer in the upper 32 bits, its length in the lower. */
  evaluate(pointer: number, length: number): bigint;
}

/** Compiles the engine that lies next to this file. */
export function compileModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL('./policy.wasm', import.meta.url)));
}

/** Makes an engine, for one evaluation. */
export function instantiate(module: WebAssembly.Module): WebAssembly.Instance {
  return new WebAssembly.Instance(module);
}

/**
 * Evaluates in an instance that has not been used before, and is to be dropped afterwards: nothing is left over for the next
 * policy.
 *
 * @param request see `encodeRequest`
 * @returns the answer's JSON text
 * @throws WebAssembly.RuntimeError or RangeError when the policy exhausts its memory or stack, or the engine panics
 */
export function evaluateIn(instance: WebAssembly.Instance, request: Uint8Array): string {
  const engine = instance.exports as unknown as Exports;
  const at = engine.alloc(request.length);
  // Views are made anew each time: the memory's buffer is replaced when it grows.
  new Uint8Array(engine.memory.buffer, at, request.length).set(request);
  const result = BigInt.asUintN(64, engine.evaluate(at, request.length));
  const pointer = Number(result >> 32n);
  const length = Number(result & 0xffff_ffffn);
  const answer = new TextDecoder().decode(new Uint8Array(engine.memory.buffer, pointer, length));
  engine.free(pointer, length);
  return answer;
}
