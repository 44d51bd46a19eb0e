import { types } from 'node:util';
import { runInNewContext, runInThisContext } from 'node:vm';
import { isDate, isError, isMap, isPromise, isSet } from '#dist/kinds.js';
import { describe, expect, it } from 'vitest';

/** Makes one of each kind, and what passes itself off as one, in whatever realm it is run in. */
const VALUES = `[
  new Date(), new Map(), new Set(), Promise.resolve(1), new Error('x'), new TypeError('x'), new AggregateError([]),
  new (class extends Date {})(), new (class extends Map {})(), new (class extends Set {})(), new (class extends Promise {})(() => {}),
  new (class extends RangeError {})('x'),
  Object.create(Date.prototype), Object.create(Map.prototype), Object.create(Set.prototype), Object.create(Error.prototype),
  { then() {} }, { getTime() { return 1; } }, { size: 1 }, { name: 'Error', message: 'x' }, new WeakMap(), new WeakSet(),
  new Proxy(new Date(), {}), new Proxy(new Map(), {}), new Proxy(new Error('x'), {}), new Proxy({}, { getPrototypeOf() { throw new Error(); } }),
  { [Symbol.toStringTag]: 'Error' }, { [Symbol.toStringTag]: 'Date' }, { [Symbol.toStringTag]: 'Map' },
  null, undefined, 0, NaN, 1n, 'Error', Symbol('x'), true, () => 1, [], {}, Object.create(null), /x/, new Uint8Array(1), new ArrayBuffer(1),
]`;

const REALMS: [string, () => unknown[]][] = [
  ['this realm', () => runInThisContext(VALUES) as unknown[]],
  ['another realm', () => runInNewContext(VALUES) as unknown[]],
];

describe.each(REALMS)('what a value of %s is', (_, values) => {
  it.each([
    ['isDate', isDate, types.isDate],
    ['isMap', isMap, types.isMap],
    ['isSet', isSet, types.isSet],
    ['isPromise', isPromise, types.isPromise],
    ['isError', isError, types.isNativeError],
  ] as const)('%s says as node:util/types does', (_name, ours, theirs) => {
    const all = values();
    const told = all.map((value) => ours(value));
    expect(told).toEqual(all.map((value) => theirs(value)));
    expect(told).toContain(true);
  });
});
