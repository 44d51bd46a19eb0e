import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { copyClaims } from '#dist/policy/claims.js';
import { encodeRequest } from '#dist/policy/request.js';
import { ending, endingSync, inputWith, model } from './support.js';

const copy = (claims: unknown): unknown => copyClaims(claims, 'claims');

/** `depth` objects in one another. */
function nest(depth: number): object {
  let value: object = {};
  for (let i = 1; i < depth; i++) value = { a: value };
  return value;
}

function thrownBy(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  expect.fail('nothing was thrown');
}

describe('claims: what is taken', () => {
  test('any JSON data, unchanged', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (claims) => {
        // JSON has no -0.
        expect(JSON.parse(JSON.stringify(copy(claims)))).toEqual(JSON.parse(JSON.stringify(claims)));
      }),
    );
  });

  test('objects without a prototype, and of another realm', () => {
    expect(copy(Object.assign(Object.create(null), { a: 1 }))).toEqual({ a: 1 });
    expect(copy(runInNewContext('({ a: [{ b: 1 }] })'))).toEqual({ a: [{ b: 1 }] });
  });

  test('the same object twice, since that is no cycle', () => {
    const shared = { x: 1 };
    expect(copy({ a: shared, b: [shared] })).toEqual({ a: { x: 1 }, b: [{ x: 1 }] });
  });

  test('own enumerable properties only', () => {
    const claims = Object.defineProperty({ a: 1, [Symbol('s')]: 2 }, 'hidden', { value: 3, enumerable: false });
    expect(Object.keys(copy(claims) as object)).toEqual(['a']);
  });

  test('a copy: what the caller changes afterwards is not seen', () => {
    const inner = { b: 1 };
    const taken = copy({ inner }) as { inner: { b: number } };
    inner.b = 2;
    expect(taken.inner.b).toBe(1);
  });

  test('a getter is read once', () => {
    let reads = 0;
    const claims = {
      get plan() {
        reads++;
        return reads === 1 ? 'basic' : 'enterprise';
      },
    };
    expect(copy(claims)).toEqual({ plan: 'basic' });
    expect(reads).toBe(1);
  });
});

describe('claims that look like prototypes', () => {
  const hostile = JSON.parse(
    '{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}},"toString":"x"}',
  ) as object;

  test('stay data, and pollute nothing', () => {
    const taken = copy(hostile) as Record<string, unknown>;
    expect(Object.keys(taken)).toEqual(['__proto__', 'constructor', 'toString']);
    expect(taken.admin).toBeUndefined();
    expect(({} as Record<string, unknown>).admin).toBeUndefined();
  });

  test('reach the policy under their own names, and no other', async () => {
    const input = inputWith({ claims: hostile });
    expect((await ending(model('allow if input.claims["__proto__"].admin'), { input })).code).toBe('opens');
    expect((await ending(model('allow if input.claims.admin'), { input })).code).toBe('PolicyDenied');
    expect((await ending(model('allow if input.claims.hasOwnProperty'), { input })).code).toBe('PolicyDenied');
  });

  test('a toJSON or a getter on Object.prototype does not speak for them', () => {
    Object.defineProperty(Object.prototype, 'toJSON', { value: () => 'forged', configurable: true });
    try {
      expect(endingSync(model('allow if input.claims.a == 1'), { input: inputWith({ claims: { a: 1 } }) }).code).toBe(
        'opens',
      );
    } finally {
      delete (Object.prototype as { toJSON?: unknown }).toJSON;
    }
  });
});

describe('claims: what is refused, by its path', () => {
  class Customer {
    name = 'acme';
  }

  test.each([
    ['a class instance', { a: [{ b: new Customer() }] }, 'claims.a[0].b', 'Customer'],
    ['a Date', { when: new Date(0) }, 'claims.when', 'Date'],
    ['a Map', { m: new Map() }, 'claims.m', 'Map'],
    ['a function', { f: () => 1 }, 'claims.f', 'function'],
    ['undefined', { a: undefined }, 'claims.a', 'undefined'],
    ['a symbol', { s: Symbol('x') }, 'claims.s', 'symbol'],
    ['a bigint', { n: 1n }, 'claims.n', 'bigint'],
    ['NaN', { n: [1, Number.NaN] }, 'claims.n[1]', 'NaN'],
    ['infinity', { n: -Infinity }, 'claims.n', '-Infinity'],
    ['a hole', { list: [1, , 3] }, 'claims.list[1]', 'undefined'], // eslint-disable-line no-sparse-arrays
    ['a lone surrogate', { s: 'a\ud800' }, 'claims.s', 'surrogate'],
    ['a lone surrogate in a name', { '\udfff': 1 }, 'claims["\\udfff"]', 'surrogate'],
    ['a name that is no identifier', { 'a b': { c: undefined } }, 'claims["a b"].c', 'undefined'],
    ['an array', [], 'claims', 'array'],
    ['null', null, 'claims', 'null'],
    ['a string', 'x', 'claims', 'string'],
  ])('%s', (_, claims, path, found) => {
    const error = thrownBy(() => copy(claims));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message.slice(0, path.length + 9)).toBe(`${path} must be `);
    expect(error.message).toContain(found);
  });

  test('a secret string is not shown', () => {
    expect(thrownBy(() => copy({ list: ['s3cret', undefined] })).message).not.toContain('s3cret');
    expect(thrownBy(() => copy('s3cret')).message).not.toContain('s3cret');
  });

  test.each([
    [
      'a cycle',
      () => {
        const a: Record<string, unknown> = {};
        a.self = { a };
        return a;
      },
      'claims.self.a refers to an object that contains it',
    ],
    ['65 levels', () => nest(65), 'nested more than 64 deep'],
    ['too long a string', () => ({ s: 'x'.repeat(1024 * 1024) }), 'longer than 1048576 bytes'],
    ['too many small values', () => ({ n: new Array(600_000).fill(1) as number[] }), 'longer than 1048576 bytes'],
    [
      'a small object that is written out 2^40 times',
      () => {
        let a: unknown = 1;
        for (let i = 0; i < 40; i++) a = [a, a];
        return { a };
      },
      'longer than 1048576 bytes',
    ],
  ])('%s', (_, make, message) => {
    const error = thrownBy(() => copy(make()));
    expect(error).toMatchObject({ code: 'InvalidOption' });
    expect(error.message).toContain(message);
  });

  test('64 levels and nearly 1 MiB are taken, and the engine reads them', async () => {
    const claims = { deep: nest(63), long: 'x'.repeat(1024 * 1024 - 1000) };
    const policy = model('allow if count(input.claims.long) == 1047576');
    expect(await ending(policy, { input: inputWith({ claims }) })).toMatchObject({ code: 'opens' });
  });
});

test('the request is JSON with exact integers', () => {
  const input = inputWith({
    now: () => 9_007_199_254_740_993n,
    tensor: { name: 't', dtype: 'F32', shape: [2n ** 63n, 3] },
  });
  const text = new TextDecoder().decode(encodeRequest(model('allow = "é"'), 'allow_tensor', input));
  expect(text).toContain('"now_ns":9007199254740993}');
  expect(text).toContain('"shape":[9223372036854775808,3]');
  expect(JSON.parse(text)).toMatchObject({
    policy: model('allow = "é"'),
    rule: 'allow_tensor',
    input: { action: 'open' },
  });
});
