import { describe, expect, test, vi } from 'vitest';
import { DEFAULT_POLICY, checkPolicy } from '#dist/policy/evaluate.js';
import { runAsync, runSync } from '#dist/twin.js';
import { model } from './support.js';

/* What is known of a policy without anybody's facts, for whoever is about to ship it. */
async function problem(policy: string): Promise<string> {
  const asynchronous = await runAsync(checkPolicy(policy, 'it')).then(
    () => '',
    (error: unknown) => (error as Error).message,
  );
  try {
    runSync(checkPolicy(policy, 'it'));
    expect(asynchronous).toBe('');
  } catch (error) {
    expect((error as Error).message).toBe(asynchronous);
    expect(error).toMatchObject({ code: 'PolicyError' });
  }
  return asynchronous;
}

describe('a policy', () => {
  test.each([
    DEFAULT_POLICY,
    model('allow := false'),
    model('default allow := false\nallow if input.claims.customer == "acme"\nallow_tensor if input.tensor.name == "x"'),
    // Whether an answer comes out is not asked.
    model('allow if count(numbers.range(1, 1000000000)) > 0'),
    model('f(x) := f(x + 1)\nallow if f(1)'),
    model('allow if 1/0 == 1'),
    model('allow if f(2)\nf(x) if data.model.g(x)\ng(x) if x > 1\ndefault h(_) := 1'),
    model('allow if { numbers.range(1, 2, r); time.now_ns() > 0; time.clock(1)[0] > 0; print("x", 1, 2) }'),
    'package model\nimport data.model.f as g\nf(x) if x > 1\nallow if g(2)',
  ])('that compiles passes: %j', async (policy) => {
    expect(await problem(policy)).toBe('');
  });

  test.each([
    [
      'a syntax error',
      model('allow = '),
      'it would never open the file: line 2, column 9 ("allow ="): expecting expression',
    ],
    ['Rego v0', model('allow { true }'), '`if` keyword is required'],
    ['nothing in it', '', 'expecting `package`'],
    ['an unknown variable', model('allow if x == 1'), 'use of undefined variable `x`'],
    ['no allow', model('allow_tensor if true'), 'does not define data.model.allow'],
    ['another package', 'package models\nallow := true', 'does not define data.model.allow'],
    ['allow in parts', model('allow.x := true'), 'defines only parts of data.model.allow'],
    ['too long a text', model(`allow := true\n${'#'.repeat(1024 * 1024)}`), 'longer than 1048576 bytes'],
  ])('with %s is refused', async (_, policy, reason) => {
    expect(await problem(policy)).toContain(reason);
  });

  test.each([
    ['somewhere', 'allow if crypto.sha256("a") == ""', 'could not find function crypto.sha256'],
    ['where it is never reached', 'allow if { false; yaml.marshal(1) == "" }', 'could not find function yaml.marshal'],
    ['in a comprehension', 'allow if count([x | x := uuid.rfc4122("a")]) > 0', 'uuid.rfc4122'],
    ['in a rule of its own', 'allow := true\nother contains any([true])', 'could not find function any'],
    ['in the head of a function', 'allow := true\nf(x) := cast_string(x)', 'cast_string'],
    ['in an else', 'allow if { false } else := http.send({})', 'http.send'],
    ['in every', 'allow if { every x in [1] { time.format(x) == "" } }', 'time.format'],
    ['in a default', 'default allow := false\nallow := {"a": [1 + missing(1)]} == 1', 'missing'],
    ['behind with', 'allow if input.x with input as absent(1)', 'absent'],
    ['behind not', 'allow if not opa.runtime().env', 'opa.runtime'],
    ['in an index', 'allow if input.a[nowhere.at_all(1)]', 'nowhere.at_all'],
    ['for randomness', 'allow if rand.intn("x", 5) >= 0', 'rand.intn'],
    ['that is a rule', 'x := 1\nallow if x(1)', 'could not find function x'],
  ])('that calls what there is not, %s, is refused', async (_, rules, reason) => {
    const text = await problem(model(rules));
    expect(text).toMatch(/^it would never open the file: line \d+, column \d+ /);
    expect(text).toContain(reason);
  });

  test.each([
    ['allow if startswith("a")', 'function startswith takes 2 arguments, and is given 1'],
    ['allow if count([1], 2, 3) == 1', 'function count takes 1 arguments, and is given 3'],
    ['allow if time.now_ns(1, 2) == 1', 'function time.now_ns takes 0 arguments, and is given 2'],
    ['f(x, y) if x == y\nallow if f(1)', 'function f takes 2 arguments, and is given 1'],
  ])('that calls with too few or too many arguments is refused: %s', async (rules, reason) => {
    expect(await problem(model(rules))).toContain(reason);
  });

  test('that takes hours to parse is refused for the fuel that it uses up', async () => {
    const endless = model(`allow = ${'['.repeat(30)}1${']'.repeat(30)}`);
    expect(await problem(endless)).toContain('it used up its budget of 400000000 units of fuel');
  });
});

describe('a warning', () => {
  async function warnings(rules: string): Promise<string[]> {
    const emit = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    try {
      await runAsync(checkPolicy(model(rules), 'options.policy.local'));
      return emit.mock.calls.map(([message]) => String(message));
    } finally {
      emit.mockRestore();
    }
  }

  test.each([
    ['to open', 'allow if count([1 | some i in numbers.range(1, 3000); i % 7 == 1]) > 1'],
    [
      'to read a tensor',
      'allow := true\nallow_tensor if count([1 | some i in numbers.range(1, 3000); i % 7 == 1]) > 1',
    ],
    ['more than there is', 'n := numbers.range(1, 10000)\nallow if { some i in n; some j in n; i * j < 0 }'],
  ])('tells of a policy that takes more than a tenth of the budget %s', async (_, rules) => {
    const [message, ...more] = await warnings(rules);
    expect(message).toMatch(/^options\.policy\.local takes \d+ units of fuel .* more than a tenth of the 400000000/);
    expect(more).toEqual([]);
  });

  test('does not come for one that takes less', async () => {
    expect(await warnings('default allow := false\nallow if input.claims.customer == "acme"')).toEqual([]);
  });
});
