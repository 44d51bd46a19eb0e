import { describe, expect, test } from 'vitest';
import { DEFAULT_FUEL, DEFAULT_POLICY, judgePolicy, mayRestrictTensors } from '#dist/policy/evaluate.js';
import { CryptoTensorsError } from '#dist/errors.js';
import { runAsync, runSync } from '#dist/twin.js';
import { ending, endingSync, inputWith, model } from './support.js';
import type { Ending } from './support.js';

/** Both forms, which must agree to the letter. */
async function both(policy: string, request: Parameters<typeof ending>[1] = {}): Promise<Ending> {
  const shared = { input: inputWith(), ...request };
  const asynchronous = await ending(policy, shared);
  const synchronous = endingSync(policy, shared);
  expect([synchronous.code, synchronous.message]).toEqual([asynchronous.code, asynchronous.message]);
  return asynchronous;
}

describe('answers', () => {
  test.each([
    'allow = true',
    'allow := true',
    'allow if true',
    'default allow := false\nallow if input.model.tensors == 1',
    'import rego.v1\nallow if startswith("abc", "a")',
    'allow if not input.blocked',
    'allow if regex.match(`^a+$`, "aaa")',
    'allow if glob.match("*.acme.com", ["."], "eu.acme.com")',
    'allow if net.cidr_contains("10.0.0.0/8", "10.1.2.3")',
    'allow if semver.compare("1.10.0", "1.9.0") == 1',
    'allow if base64.decode("YQ==") == "a"',
    'allow if print("to nowhere")',
  ])('%s opens', async (rules) => {
    expect(await both(model(rules))).toMatchObject({ code: 'opens' });
  });

  test.each([
    ['allow = false', 'false'],
    ['allow if input.absent', 'undefined'],
    ['allow = input.absent', 'undefined'],
    ['allow = "yes"', 'a string'],
    ['allow = "true"', 'a string'],
    ['allow = 1', 'a number'],
    ['allow = null', 'null'],
    ['allow = [true]', 'an array'],
    ['allow = {"allow": true}', 'an object'],
    ['allow contains true', 'a set'],
  ])('%s refuses with PolicyDenied: %s', async (rules, found) => {
    const { message, error } = await both(model(rules));
    expect(error).toBeInstanceOf(CryptoTensorsError);
    expect(error).toMatchObject({ code: 'PolicyDenied', expected: 'true' });
    expect(message).toContain(`data.model.allow is ${found}`);
  });

  test.each([
    ['a syntax error', model('allow = '), 'line 2, column 9 ("allow ="): expecting expression'],
    ['Rego v0', model('allow { true }'), 'line 2, column 7 ("allow { true }"): `if` keyword is required'],
    ['an empty policy', '', 'line 1, column 1 (""): expecting `package`'],
    ['a missing rule', model('deny = true'), 'does not define data.model.allow'],
    ['another package', 'package other\nallow = true', 'does not define data.model.allow'],
    ['a rule in parts', model('allow.x = true'), 'defines only parts of data.model.allow'],
    ['a package of that name', 'package model.allow\nx = true', 'defines only parts of data.model.allow'],
    ['a division by zero', model('allow = 1/0'), 'line 2, column 10 ("allow = 1/0"): divide by zero'],
    ['an unknown variable', model('allow if x == 1'), 'use of undefined variable `x`'],
    ['two answers', model('allow := true\nallow := false'), 'rule conflicts with rule at model.rego:2:1'],
    ['a rule that needs itself', model('a if b\nb if a\nallow if a'), 'the rule needs its own value'],
    ['an error behind not', model('allow if not to_number("x")'), 'could not parse string as number'],
    [
      'the network',
      model('allow if http.send({"url": "http://localhost", "method": "get"})'),
      'could not find function http.send',
    ],
    ['the environment', model('allow if opa.runtime().env.HOME'), 'could not find function opa.runtime'],
    ['randomness', model('allow if rand.intn("x", 5) >= 0'), 'could not find function rand.intn'],
  ])('%s refuses with PolicyError', async (_, policy, reason) => {
    const { code, message } = await both(policy);
    expect(code).toBe('PolicyError');
    expect(message).toContain(reason);
  });

  test('the default policy opens without the engine, and only as it stands', () => {
    expect(DEFAULT_POLICY).toBe('package model\nallow = true');
    expect(endingSync(DEFAULT_POLICY, { fuel: 1 }).code).toBe('opens');
    expect(endingSync(`${DEFAULT_POLICY} `, { fuel: 1 }).code).toBe('PolicyError');
  });
});

describe('allow_tensor', () => {
  const tensor = { name: 'head.weight', dtype: 'F32', shape: [2, 3] };
  const input = inputWith({ tensor });
  const perTensor = model('allow := true\nallow_tensor if not startswith(input.tensor.name, "head.")');

  test('refuses one tensor and names it', async () => {
    const { code, message, error } = await both(perTensor, { rule: 'allow_tensor', input });
    expect(code).toBe('PolicyDenied');
    expect(error).toMatchObject({ tensor: 'head.weight' });
    expect(message).toContain('refuses tensor "head.weight": data.model.allow_tensor is undefined');
  });

  test('sees name, dtype and shape', async () => {
    const policy = model('allow_tensor if input.tensor == {"name": "head.weight", "dtype": "F32", "shape": [2, 3]}');
    expect(await both(policy, { rule: 'allow_tensor', input })).toMatchObject({ code: 'opens' });
    const other = inputWith({ tensor: { ...tensor, name: 'body' } });
    expect(await both(perTensor, { rule: 'allow_tensor', input: other })).toMatchObject({ code: 'opens' });
  });

  test.each([DEFAULT_POLICY, model('allow := false'), model('# allow_tensor is left out\nallow := true')])(
    'a policy without it has nothing against any tensor: %j',
    async (policy) => {
      expect(await both(policy, { rule: 'allow_tensor', input })).toMatchObject({ code: 'opens' });
    },
  );

  test.each([
    ['in parts', model('allow_tensor.x := true')],
    ['as a package', 'package model.allow_tensor\nx := true'],
    ['as a function', model('allow_tensor(t) := true')],
    ['as a set', model('allow_tensor contains "head.weight"')],
  ])('a policy that defines it %s refuses', async (_, policy) => {
    expect((await both(policy, { rule: 'allow_tensor', input })).code).toMatch(/^Policy(Denied|Error)$/);
  });

  test('is found in the text, so that most policies need not be asked', () => {
    expect(mayRestrictTensors(perTensor)).toBe(true);
    expect(mayRestrictTensors(DEFAULT_POLICY)).toBe(false);
  });
});

describe('messages', () => {
  const claims = { token: 's3cret-token', nested: { pin: 424242 } };
  const input = inputWith({ claims, now: () => new Date('2026-01-31T12:00:00Z') });

  test('of a refusal name what the policy saw, but no value of a claim', async () => {
    const { message } = await both(model('allow = false'), { input });
    expect(message).toContain('action open; time 2026-01-31T12:00:00.000Z');
    expect(message).toContain('claims "token", "nested"');
    expect(message).not.toMatch(/s3cret|424242|pin/);
  });

  test.each([
    'to_number(input.claims.token)',
    'startswith(input.claims.nested, "a")',
    'startswith(input.claims.nested.pin, "a")',
    'json.unmarshal(input.claims.token)',
    'base64.decode(input.claims.token)',
    'hex.decode(input.claims.token)',
    'net.cidr_contains(input.claims.token, "10.0.0.1")',
    'regex.match(concat("", ["(", input.claims.token]), "x")',
    'time.parse_rfc3339_ns(input.claims.token)',
    'time.parse_duration_ns(input.claims.token)',
    'time.date([0, input.claims.token])',
    'sum(input.claims.token)',
    'max(input.claims.nested)',
    'union(input.claims.nested)',
    'object.get(input.claims.token, "a", 1)',
    'sprintf("%d", [input.claims.token, input.claims.nested])',
    'units.parse(input.claims.token)',
    'semver.compare(input.claims.token, input.claims.token)',
    'bits.and(input.claims.token, 1)',
    'glob.match(input.claims.token, [input.claims.token], input.claims.token)',
    'numbers.range(input.claims.token, 5)',
    'input.claims.token / 2',
    'input.claims.token - 2',
    '{input.claims.nested.pin: x | x := [1, 2][_]}',
    'walk(input.claims.token, 5)',
  ])('of a failure tell no value of a claim: %s', async (expression) => {
    const { message, error } = await both(model(`allow := ${expression}`), { input });
    expect(message).not.toMatch(/s3cret|424242/);
    expect(JSON.stringify(error)).not.toMatch(/s3cret|424242/);
  });

  test('show text of the policy escaped and cut', async () => {
    const { message } = await both(model(`allow = \u001b[31m${'x'.repeat(500)}`), { input });
    // eslint-disable-next-line no-control-regex -- a control character is what must not be there
    expect(message).not.toMatch(/[\u0000-\u001f]/);
    expect(message.length).toBeLessThan(400);
  });
});

describe('fuel', () => {
  const endless = model('allow = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]');
  const brief = model('allow if input.model.tensors == 1');
  const used = async (policy: string, request: Partial<Parameters<typeof judgePolicy>[1]> = {}): Promise<number> => {
    const verdicts = [
      await runAsync(judgePolicy(policy, { input: inputWith(), ...request })),
      runSync(judgePolicy(policy, { input: inputWith(), ...request })),
    ];
    expect(verdicts[0]).toEqual(verdicts[1]);
    return verdicts[0]!.fuel!;
  };

  test('ends an evaluation that uses it up; the next one works', async () => {
    const { code, message } = await both(endless, { fuel: 1_000_000 });
    expect(code).toBe('PolicyError');
    expect(message).toContain('it used up its budget of 1000000 units of fuel');
    expect(message).toContain('raise options.policy.fuel');
    expect(await used(endless, { fuel: 1_000_000 })).toBe(1_000_000);
    expect(await both(brief)).toMatchObject({ code: 'opens' });
  });

  test('is 400 million by default', async () => {
    expect(DEFAULT_FUEL).toBe(400_000_000);
    expect((await both(endless)).message).toContain('its budget of 400000000 units');
  });

  test('is enough or not to the unit', async () => {
    const fuel = await used(brief);
    expect(fuel).toBeGreaterThan(10_000);
    expect(fuel).toBeLessThan(DEFAULT_FUEL / 10);
    expect((await both(brief, { fuel })).code).toBe('opens');
    expect((await both(brief, { fuel: Math.floor(fuel * 0.9) })).code).toBe('PolicyError');
  });

  test('does not depend on the budget, nor on what was evaluated before', async () => {
    const input = inputWith({ now: () => 1n });
    const first = await used(brief, { input });
    await both(endless);
    expect(await used(brief, { input, fuel: 10 * DEFAULT_FUEL })).toBe(first);
  });

  test('is not used for reading a large input', async () => {
    const metadata = { notes: 'x'.repeat(4 * 1024 * 1024) };
    const large = inputWith({ model: { metadata, tensors: 1, signer: null } });
    expect(await used(brief, { input: large })).toBeLessThan(1.1 * (await used(brief)));
  });

  test.each([0, -1, 1.5, Number.NaN, Infinity])('%d is an InvalidOption', async (fuel) => {
    expect((await both(model('allow if true'), { fuel })).code).toBe('InvalidOption');
  });
});

describe('what is used up', () => {
  test.each([
    ['the stack, by recursion', model('f(x) := f(x + 1)\nallow if f(1)'), 'the stack of its sandbox'],
    ['the stack, by nesting', model(`allow = ${'[\n'.repeat(5_000)}`), 'the stack of its sandbox'],
    ['memory', model('allow if sprintf("%2000000000d", [1])'), 'the memory of its sandbox, 64 MiB'],
    [
      'fuel, for memory',
      model('allow if count([s | some i in numbers.range(1, 60); s := sprintf("%1000000d", [i])]) > 0'),
      'fuel',
    ],
  ])('%s: the error says so', async (_, policy, words) => {
    const { code, message } = await both(policy);
    expect(code).toBe('PolicyError');
    expect(message).toContain(`it used up ${words.startsWith('the') ? words : 'its budget'}`);
  });

  test('of the stack, by a caller that has little left: an error, and not the end of the process', () => {
    const policy = model('f(x) := f(x + 1)\nallow if f(1)');
    const endings = new Set<string>();
    let frames = 0;
    const descend = (): void => {
      try {
        descend();
      } finally {
        // On the way back from the very end of the stack.
        if (frames++ % 1_000 === 0) evaluate();
      }
    };
    const evaluate = (): void => {
      try {
        endings.add(endingSync(policy).code);
      } catch (error) {
        // Where there is not even room for the call.
        endings.add((error as Error).name);
      }
    };
    expect(descend).toThrow(RangeError);
    expect(endings).toContain('PolicyError');
    expect(endings).not.toContain('opens');
  });
});

describe('abort', () => {
  test('before the start', async () => {
    expect((await both(model('allow if true'), { signal: AbortSignal.abort('enough') })).code).toBe('ABORT_ERR');
  });
});

describe('concurrency', () => {
  test('100 evaluations at once, each with its own answer', async () => {
    const signal = new AbortController().signal;
    const codes = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const input = inputWith({ claims: { i } });
        return (await ending(model(`allow if { input.claims.i == ${i}; input.claims.i % 3 == 0 }`), { input, signal }))
          .code;
      }),
    );
    expect(codes).toEqual(Array.from({ length: 100 }, (_, i) => (i % 3 === 0 ? 'opens' : 'PolicyDenied')));
  });

  test('nothing is left over from one policy to the next', async () => {
    expect(await both(model('secret := "left over"\nallow if secret'))).toMatchObject({ code: 'opens' });
    expect(await both(model('allow if data.model.secret'))).toMatchObject({ code: 'PolicyDenied' });
    const input = inputWith({ claims: { a: 1 } });
    expect(await both(model('allow if input.claims.a'), { input })).toMatchObject({ code: 'opens' });
    expect(await both(model('allow if input.claims.a'))).toMatchObject({ code: 'PolicyDenied' });
  });
});
