/**
 * The parts of the JavaScript environment that `module.ts` uses and Node's types do not declare: TypeScript has them in its DOM
 * library only.
 */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
    readonly [Symbol.toStringTag]: 'WebAssembly.Module';
  }
  class Instance {
    constructor(module: Module);
    readonly exports: Record<string, unknown>;
  }
  interface Memory {
    readonly buffer: ArrayBuffer;
  }
  /** `bigint` for an i64. */
  interface Global<Value extends number | bigint> {
    value: Value;
  }
}
