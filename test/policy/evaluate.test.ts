import { describe, expect, test } from 'vitest';
import { DEFAULT_POLICY, evaluatePolicy, evaluatePolicySync, mayRestrictTensors } from '#dist/policy/evaluate.js';
import { CryptoTensorsError } from '#dist/errors.js';
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
    ['randomness', model('allow if rand.intn("x", 5) >= 0'), 'broke the limits'],
  ])('%s refuses with PolicyError', async (_, policy, reason) => {
    const { code, message } = await both(policy);
    expect(code).toBe('PolicyError');
    expect(message).toContain(reason);
  });

  test('the default policy opens without a worker, and only as it stands', () => {
    expect(DEFAULT_POLICY).toBe('package model\nallow = true');
    // A deadline that no worker could keep.
    expect(() => evaluatePolicySync(DEFAULT_POLICY, { input: inputWith(), deadlineMs: 1e-6 })).not.toThrow();
    expect(endingSync(`${DEFAULT_POLICY} `, { deadlineMs: 1e-6 }).code).toBe('PolicyError');
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

describe('deadline', () => {
  const endless = model('allow = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]');

  test('ends an evaluation; the next one works', async () => {
    const { code, message } = await both(endless, { deadlineMs: 100 });
    expect(code).toBe('PolicyError');
    expect(message).toContain('did not answer within 100 ms');
    expect(await both(model('allow if true'))).toMatchObject({ code: 'opens' });
  });

  test('is 250 ms by default', async () => {
    await expect(evaluatePolicy(endless, { input: inputWith() })).rejects.toThrow('within 250 ms');
    expect(() => evaluatePolicySync(endless, { input: inputWith() })).toThrow('within 250 ms');
  });

  test('counts from the start of each evaluation, not from the call', async () => {
    const blocked = ending(endless, { deadlineMs: 600 });
    // They wait longer than their own deadline before it is their turn.
    const waiting = await Promise.all(
      Array.from({ length: 5 }, () => ending(model('allow if true'), { deadlineMs: 500 })),
    );
    expect(waiting.map(({ code }) => code)).toEqual(new Array(5).fill('opens'));
    expect((await blocked).code).toBe('PolicyError');
  });

  test('an answer that came while the event loop was busy elsewhere counts', async () => {
    await ending(model('allow if true'));
    const answer = ending(model('allow if 1 == 1'), { deadlineMs: 300 });
    // Let the request go out, then keep the loop from looking until long after the deadline.
    await new Promise(setImmediate);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 900);
    expect(await answer).toMatchObject({ code: 'opens' });
  });

  test.each([0, -1, Number.NaN, Infinity])('%d is an InvalidOption', async (deadlineMs) => {
    expect((await both(model('allow if true'), { deadlineMs })).code).toBe('InvalidOption');
  });
});

describe('abort', () => {
  const slow = model('allow = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]');

  test('before the start', async () => {
    expect((await both(model('allow if true'), { signal: AbortSignal.abort('enough') })).code).toBe('ABORT_ERR');
  });

  test('during the evaluation, and the next one works', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    const started = performance.now();
    const running = evaluatePolicy(slow, { input: inputWith(), deadlineMs: 60_000, signal: controller.signal });
    setTimeout(() => controller.abort(reason), 50);
    await expect(running).rejects.toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(await ending(model('allow if true'))).toMatchObject({ code: 'opens' });
  });

  test('while waiting for its turn: at once, and without disturbing the others', async () => {
    const first = ending(slow, { deadlineMs: 1_500 });
    const controller = new AbortController();
    const queued = ending(model('allow if true'), { signal: controller.signal });
    const last = ending(model('allow if true'));
    let firstEnded = false;
    void first.then(() => (firstEnded = true));
    controller.abort();
    expect((await queued).code).toBe('ABORT_ERR');
    expect(firstEnded).toBe(false);
    expect((await first).message).toContain('within 1500 ms');
    expect(await last).toMatchObject({ code: 'opens' });
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

  test('the Sync form answers while the other is in the middle of something', async () => {
    const running = ending(model('allow = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]'), {
      deadlineMs: 1_000,
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let i = 0; i < 20; i++) expect(endingSync(model('allow if true'))).toMatchObject({ code: 'opens' });
    expect((await running).message).toContain('within 1000 ms');
  });

  test('nothing is left over from one policy to the next', async () => {
    expect(await both(model('secret := "left over"\nallow if secret'))).toMatchObject({ code: 'opens' });
    expect(await both(model('allow if data.model.secret'))).toMatchObject({ code: 'PolicyDenied' });
    const input = inputWith({ claims: { a: 1 } });
    expect(await both(model('allow if input.claims.a'), { input })).toMatchObject({ code: 'opens' });
    expect(await both(model('allow if input.claims.a'))).toMatchObject({ code: 'PolicyDenied' });
  });
});
