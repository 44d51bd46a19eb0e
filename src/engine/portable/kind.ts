/** Its getter looks at what an object is, whatever realm it is of, and so cannot be misled by the object's properties. */
const TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype) as object;

/** What the types promise, as the native engine checks it. */
export function checkKind(value: unknown, kind: 'Uint8Array' | 'Float64Array' | 'Int32Array', name: string): void {
  if (Reflect.get(TYPED_ARRAY, Symbol.toStringTag, value) !== kind) throw new TypeError(`${name} must be a ${kind}`);
}

/** @throws TypeError */
export function checkOneOf(value: unknown, allowed: readonly string[], name: string): void {
  if (!(allowed as readonly unknown[]).includes(value)) throw new TypeError(`${name} must be ${allowed.join(' or ')}`);
}

/** @throws RangeError */
export function ensure(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new RangeError(problem);
}

export function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
