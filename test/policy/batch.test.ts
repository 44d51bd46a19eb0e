import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeTensors } from '#dist/policy/evaluate.js';
import type { PolicyTensor } from '#dist/policy/input.js';
import { batchesOf } from '#dist/policy/request.js';
import type { Verdict } from '#dist/policy/verdict.js';
import { runAsync, runSync } from '#dist/twin.js';
import { ending, inputWith, model } from './support.js';

/* Many tensors in one request: the answers are those of as many requests. */
const input = inputWith({ action: 'read', claims: { plan: 'trial', pin: 424242 } });

function tensorsNamed(...names: string[]): PolicyTensor[] {
  return names.map((name, i) => ({ name, dtype: i % 2 === 0 ? 'F32' : 'I64', shape: [BigInt(i), 2n ** 60n] }));
}

/** Both forms, which must agree. */
async function judged(policy: string, tensors: readonly PolicyTensor[]): Promise<Verdict[]> {
  const request = { input };
  const asynchronous = await runAsync(judgeTensors(policy, tensors, request));
  expect(runSync(judgeTensors(policy, tensors, request))).toEqual(asynchronous);
  return asynchronous;
}

const CODES = { allowed: 'opens', denied: 'PolicyDenied', failed: 'PolicyError' };

const policies: [what: string, rules: string][] = [
  ['by name', 'allow_tensor if not startswith(input.tensor.name, "head.")'],
  [
    'by dtype and shape',
    'allow_tensor if { input.tensor.dtype == "F32"; input.tensor.shape[1] == 1152921504606846976 }',
  ],
  ['by everything else', 'allow_tensor if { input.action == "read"; input.claims.plan == "trial"; time.now_ns() > 0 }'],
  ['false', 'allow_tensor := input.tensor.name == "body"'],
  ['no boolean', 'allow_tensor := input.tensor.name'],
  ['a failure for some', 'allow_tensor if { n := to_number(input.tensor.name); n > 0 }'],
  ['two answers for some', 'allow_tensor := true\nallow_tensor := false if input.tensor.name == "body"'],
  ['what other rules say', 'names contains input.tensor.name\nallow_tensor if "body" in names'],
  ['a comment only', '# allow_tensor'],
];

test.each(policies)('%s: as if each were asked for alone', async (_, rules) => {
  const policy = model(`allow := true\n${rules}`);
  const tensors = tensorsNamed('body', 'head.weight', '7', '-7', '', 'ünï "quoted"\n', '__proto__');
  const verdicts = await judged(policy, tensors);
  for (const [i, tensor] of tensors.entries()) {
    const alone = await ending(policy, { rule: 'allow_tensor', input: { ...input, tensor } });
    expect(CODES[verdicts[i]!.outcome], tensor.name).toBe(alone.code);
    const verdict = verdicts[i]!;
    if (verdict.outcome === 'denied') expect(alone.message).toContain(`data.model.allow_tensor is ${verdict.found}`);
    if (verdict.outcome === 'failed') expect(alone.message).toContain(verdict.problem);
  }
});

test('a failure half-way through one tensor leaves nothing behind for the next', async () => {
  // What `with` replaced must be back in place, although it was never undone.
  const policy = model(`allow := true
    plan := input.claims.plan
    breaks if { plan == "full"; to_number(input.tensor.name) > 0 }
    allow_tensor if { input.tensor.name == "breaks"; breaks with input.claims.plan as "full" }
    allow_tensor if { input.tensor.name != "breaks"; plan == "full" }`);
  const verdicts = await judged(policy, tensorsNamed('a', 'breaks', 'b', 'breaks', 'c'));
  expect(verdicts.map(({ outcome }) => outcome)).toEqual(['denied', 'failed', 'denied', 'failed', 'denied']);
});

test.each([
  ['a syntax error', 'allow_tensor = ', 'line 2, column 16'],
  ['an unknown variable', 'allow_tensor if x == 1', 'use of undefined variable `x`'],
  ['a rule in parts', 'allow_tensor.x := true', 'defines only parts of data.model.allow_tensor'],
])('%s is said once, and names no tensor', async (_, rules, problem) => {
  const error: unknown = await judged(model(rules), tensorsNamed('a', 'b')).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'PolicyError' });
  expect((error as Error).message).toContain(problem);
  expect(error).not.toHaveProperty('tensor');
  // Of one alone it is clear which.
  await expect(judged(model(rules), tensorsNamed('a'))).rejects.toMatchObject({ code: 'PolicyError', tensor: 'a' });
});

test('neither verdicts nor errors tell a claim', async () => {
  const policy = model('allow_tensor if startswith(input.claims.pin, input.tensor.name)');
  expect(JSON.stringify(await judged(policy, tensorsNamed('a', 'b')))).not.toContain('424242');
});

test('a thousand tensors are judged in order, and quickly enough for a model', async () => {
  const policy = model('allow := true\nallow_tensor if endswith(input.tensor.name, "7")');
  const tensors = tensorsNamed(...Array.from({ length: 1_001 }, (_, i) => `layer.${i}`));
  const verdicts = await judged(policy, tensors);
  const expected = tensors.map(({ name }) => (name.endsWith('7') ? 'allowed' : 'denied'));
  expect(verdicts.map(({ outcome }) => outcome)).toEqual(expected);
});

describe('batches', () => {
  test('are bounded in number and in length, and lose nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(400_000), { maxLength: 600 }), (lengths) => {
        const names = lengths.map((length) => 'x'.repeat(length % 7 === 0 ? length : length % 50));
        const tensors = tensorsNamed(...names);
        const batches = [...batchesOf(tensors)];
        expect(batches.flat()).toEqual(tensors);
        for (const batch of batches) {
          expect(batch.length).toBeGreaterThan(0);
          expect(batch.length).toBeLessThanOrEqual(250);
          const length = batch.reduce((sum, { name }) => sum + name.length, 0);
          if (batch.length > 1) expect(length).toBeLessThanOrEqual(1024 * 1024);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('a name that is too long for the sandbox is refused before it is sent', async () => {
    const tensors = tensorsNamed('a', 'x'.repeat(9 * 1024 * 1024));
    await expect(judged(model('allow_tensor if true'), tensors)).rejects.toMatchObject({
      code: 'PolicyError',
      message: expect.stringContaining('its input is longer than 8388608 bytes as JSON') as string,
    });
  });
});

describe('budgets', () => {
  const costly = model(
    'allow_tensor if count([1 | some i in numbers.range(1, 1000); i < count(input.tensor.name)]) >= 0',
  );

  test('are as large for each of many tensors as for one, and what is used includes the parsing', async () => {
    const [one] = await judged(costly, tensorsNamed('a'));
    const verdicts = await judged(costly, tensorsNamed(...Array.from({ length: 30 }, (_, i) => `layer.${i}`)));
    expect(verdicts.map(({ outcome }) => outcome)).toEqual(new Array(30).fill('allowed'));
    for (const { fuel } of verdicts) {
      expect(fuel! / one!.fuel!).toBeGreaterThan(0.9);
      expect(fuel! / one!.fuel!).toBeLessThan(1.2);
    }
    // Together they need many times what one may use.
    const sum = verdicts.reduce((total, { fuel }) => total + fuel!, 0);
    expect(sum).toBeGreaterThan(2 * 400_000_000);
  });

  test('that one tensor uses up end the whole question, and the error names it', async () => {
    const policy = model(`allow_tensor if {
      n := to_number(input.tensor.name)
      count(numbers.range(1, n)) == n
    }`);
    const error: unknown = await judged(policy, tensorsNamed('1', '10', '100000000', '1')).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'PolicyError', tensor: '100000000' });
    expect((error as Error).message).toContain('it used up');
  });

  test('do not hold up the event loop: it gets turns between the tensors', async () => {
    const tensors = tensorsNamed(...Array.from({ length: 40 }, (_, i) => `layer.${i}`));
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    await runAsync(judgeTensors(costly, tensors, { input }));
    clearInterval(timer);
    expect(turns).toBeGreaterThanOrEqual(5);
  });
});

test('an aborted signal ends it, before and between the questions', async () => {
  const aborted = { input, signal: AbortSignal.abort() };
  const tensors = tensorsNamed('a');
  await expect(runAsync(judgeTensors(model('allow_tensor := true'), tensors, aborted))).rejects.toThrow('aborted');

  const costly = model('allow_tensor if count([1 | some i in numbers.range(1, 2000); i > 0]) == 2000');
  const many = tensorsNamed(...Array.from({ length: 2_000 }, (_, i) => `layer.${i}`));
  const started = performance.now();
  const running = runAsync(judgeTensors(costly, many, { input, signal: AbortSignal.timeout(50) }));
  await expect(running).rejects.toMatchObject({ name: 'AbortError' });
  expect(performance.now() - started).toBeLessThan(2_000);
});
