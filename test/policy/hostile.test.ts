import { describe, expect, test } from 'vitest';
import { judgeTensors } from '#dist/policy/evaluate.js';
import { runAsync, runSync } from '#dist/twin.js';
import { SLACK_MS, ending, endingSync, inputWith, model } from './support.js';

/*
 * Policies that would take down a process if they ran in it: time, memory or stack without end (native/rust/policy/README.md).
 * Whatever they do, the file stays closed within the deadline, and the next evaluation works.
 */
const repeat = (text: string, times: number): string => text.repeat(times);

const hostile: [what: string, policy: string][] = [
  ['arrays nested 30 deep, which takes hours to parse', model(`allow = ${repeat('[', 30)}1${repeat(']', 30)}`)],
  ['objects nested 30 deep', model(`allow = ${repeat('{"a":', 30)}1${repeat('}', 30)}`)],
  ['sets nested 30 deep', model(`allow = ${repeat('{', 30)}1${repeat('}', 30)}`)],
  ['brackets nested 5,000 deep', model(`allow = ${repeat('[\n', 5_000)}`)],
  ['parentheses nested 5,000 deep', model(`allow = ${repeat('(\n', 5_000)}1${repeat(')\n', 5_000)}`)],
  ['comprehensions nested 500 deep', model(`allow = ${repeat('[x |\nx := ', 500)}1${repeat(']', 500)}`)],
  ['a sum of 19,000 terms', model(`allow = 1${repeat('\n+1', 19_000)}`)],
  ['a chain of 15,000 fields', model(`allow = input${repeat('\n.a', 15_000)}`)],
  [
    'a chain of rules',
    model(Array.from({ length: 9_000 }, (_, i) => `r${i} := r${i + 1}`).join('\n') + '\nr9000 := 1\nallow := r0'),
  ],
  ['endless recursion', model('f(x) := f(x + 1)\nallow if f(1)')],
  ['rules that need each other', model('a if b\nb if a\nallow if a')],
  ['a format of 2 GB', model('allow if sprintf("%2000000000d", [1])')],
  [
    'a format of 60 MB, and again',
    model('a := sprintf("%60000000d", [1])\nb := sprintf("%60000000d", [2])\nallow if a != b'),
  ],
  ['a range of a billion', model('allow if count(numbers.range(1, 1000000000)) > 0')],
  [
    'a range of a million, squared',
    model('allow if { some i in numbers.range(1, 1000000); some j in numbers.range(1, 1000000); i * j < 0 }'),
  ],
  [
    'a comprehension of 10^12',
    model(
      'n := numbers.range(1, 10000)\nallow if count([1 | some i in n; some j in n; some k in n; i + j + k < 0]) > 0',
    ),
  ],
  [
    'a comprehension that keeps 10^8',
    model('n := numbers.range(1, 10000)\nallow if count([[i, j] | some i in n; some j in n]) > 0'),
  ],
  ['an integer of 10^9 digits', model('allow if 1e1000000000 > 0')],
  [
    'an integer squared until it fills memory',
    model(
      `x0 := 12345678901234567890\n${Array.from({ length: 30 }, (_, i) => `x${i + 1} := x${i} * x${i}`).join('\n')}\nallow if x30 > 0`,
    ),
  ],
  ['a shift by 10^12', model('allow if bits.lsh(1, 1000000000000) > 0')],
  [
    'a string doubled 40 times',
    model(
      `s0 := "x"\n${Array.from({ length: 40 }, (_, i) => `s${i + 1} := concat("", [s${i}, s${i}])`).join('\n')}\nallow if s40 != ""`,
    ),
  ],
  ['a regular expression of great size', model('allow if regex.match(`((a{100}){100}){100}`, "a")')],
  ['a glob of great size', model(`allow if glob.match("${repeat('{a,', 200)}", [], "a")`)],
  [
    'a walk over all of the input, squared',
    model('allow if { walk(input, [p, v]); walk(input, [q, w]); walk(input, [r, x]); p == "none" }'),
  ],
  ['10 MB of source', model(`allow = true\n${repeat('# padding\n', 1_000_000)}`)],
  ['10 MB of source in one line', model(`allow = "${repeat('x', 10_000_000)}"`)],
  ['a NUL and other control characters', 'package model\u0000\u0001\u001b[2J\nallow = true'],
  ['a lone surrogate', model('allow = true # \ud800')],
  ['no Rego at all', repeat('\u{1f600}', 1_000)],
  [
    'printing without end',
    model('allow if { some i in numbers.range(1, 1000000); print(sprintf("%1000d", [i])); i < 0 }'),
  ],
];

const DEADLINE_MS = 250;
const input = inputWith({ claims: { list: Array.from({ length: 1_000 }, (_, i) => i) } });

describe.each(hostile)('%s', (_, policy) => {
  test('is refused in time, by both forms', async () => {
    const started = performance.now();
    const asynchronous = await ending(policy, { input, deadlineMs: DEADLINE_MS });
    const between = performance.now();
    const synchronous = endingSync(policy, { input, deadlineMs: DEADLINE_MS });
    const ended = performance.now();
    expect(asynchronous.code, asynchronous.message).toMatch(/^Policy(Error|Denied)$/);
    expect(synchronous.code, synchronous.message).toMatch(/^Policy(Error|Denied)$/);
    expect(between - started).toBeLessThan(DEADLINE_MS + SLACK_MS);
    expect(ended - between).toBeLessThan(DEADLINE_MS + SLACK_MS);

    expect(await ending(model('allow if true'))).toMatchObject({ code: 'opens' });
    expect(endingSync(model('allow if true'))).toMatchObject({ code: 'opens' });
  });
});

/* The same as rules about tensors, of which many are asked for at once: one deadline holds for all of them. */
const tensors = Array.from({ length: 100 }, (_, i) => ({ name: `layer.${i}`, dtype: 'F32', shape: [1, 2, 3] }));

describe.each(hostile)('%s, as allow_tensor about 100 tensors', (_, rules) => {
  const policy = `${rules.replaceAll(/\ballow\b/g, 'allow_tensor')}\n# allow_tensor`;

  test('lets none of them be read, in time, by both forms', async () => {
    const request = { input: { ...input, action: 'read' as const }, deadlineMs: DEADLINE_MS };
    const forms = [
      () => runAsync(judgeTensors(policy, tensors, request)),
      // eslint-disable-next-line @typescript-eslint/require-await -- so that it rejects as the other does
      async () => runSync(judgeTensors(policy, tensors, request)),
    ];
    for (const form of forms) {
      const started = performance.now();
      const verdicts = await form().catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'PolicyError' });
        return [];
      });
      expect(performance.now() - started).toBeLessThan(DEADLINE_MS + SLACK_MS);
      // A policy of another package says nothing of tensors; but with it the file does not open at all.
      const speaks = rules.startsWith('package model\n');
      if (speaks) expect(verdicts.filter(({ outcome }) => outcome === 'allowed')).toEqual([]);
    }
    expect(await ending(model('allow if true'))).toMatchObject({ code: 'opens' });
  });
});

test('all of them together leave little behind', async () => {
  await Promise.all(hostile.map(async ([, policy]) => ending(policy, { input, deadlineMs: 50 })));
  const before = process.memoryUsage.rss();
  await Promise.all(hostile.map(async ([, policy]) => ending(policy, { input, deadlineMs: 50 })));
  // Each of them may take 64 MiB: if they were kept, a second round would add more than 600 MiB.
  expect(process.memoryUsage.rss() - before).toBeLessThan(300 * 1024 * 1024);
});

test('metadata beyond what the sandbox holds is refused before it is sent', async () => {
  const metadata = { notes: 'x'.repeat(9 * 1024 * 1024) };
  const { code, message } = await ending(model('allow if true'), {
    input: inputWith({ model: { metadata, tensors: 1, signer: null } }),
  });
  expect(code).toBe('PolicyError');
  expect(message).toContain('its input is longer than 8388608 bytes as JSON');
});
