import { describe, expect, test } from 'vitest';
import { DEFAULT_POLICY, checkPolicy } from '#dist/policy/evaluate.js';
import { runAsync, runSync } from '#dist/twin.js';
import { SLACK_MS, model } from './support.js';

/* Compiling a policy without asking it anything, for whoever is about to ship it. */
async function problem(policy: string, deadlineMs = 5_000): Promise<string> {
  const asynchronous = await runAsync(checkPolicy(policy, 'it', { deadlineMs })).then(
    () => '',
    (error: unknown) => (error as Error).message,
  );
  try {
    runSync(checkPolicy(policy, 'it', { deadlineMs }));
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

  test('that takes hours to parse is refused in time', async () => {
    const started = performance.now();
    expect(await problem(model(`allow = ${'['.repeat(30)}1${']'.repeat(30)}`), 200)).toContain('within 200 ms');
    expect(performance.now() - started).toBeLessThan(400 + SLACK_MS);
  });
});
