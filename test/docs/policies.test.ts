import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseCases, runCases } from '#dist/cli/policy-cases.js';
import { DEFAULT_FUEL, checkPolicy } from '#dist/policy/evaluate.js';
import { buildPolicyInput } from '#dist/policy/input.js';
import { runAsync } from '#dist/twin.js';

/* docs/policies.md: every recipe in it is run, with the cases under it. */
const page = readFileSync(new URL('../../docs/policies.md', import.meta.url), 'utf8');

interface Block {
  language: string;
  text: string;
  /** The last heading before it. */
  heading: string;
}

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let heading = '';
  for (const [, title, language, text] of markdown.matchAll(/^#+ (.*)$|^```([^\n]*)\n([^]*?)^```$/gm)) {
    if (title !== undefined) heading = title;
    else blocks.push({ language: language!, text: text!, heading });
  }
  return blocks;
}

const blocks = blocksOf(page);
const policies = blocks.filter(({ language }) => language === 'rego');
const cases = blocks.filter(({ language }) => language === 'json');

test('every policy has its cases, and no other block is left out', () => {
  expect(policies.map(({ heading }) => heading)).toEqual(cases.map(({ heading }) => heading));
  expect(policies.length).toBeGreaterThanOrEqual(10);
  expect([...new Set(blocks.map(({ language }) => language))].sort()).toEqual([
    'js',
    'json',
    'json input',
    'rego',
    'rego skip',
  ]);
});

describe.each(policies.map((policy, i) => [policy.heading, policy.text, cases[i]!.text] as const))(
  '%s',
  (heading, policy, text) => {
    test('can be shipped', async () => {
      await runAsync(checkPolicy(policy, heading));
    });

    test('decides as the page says', async () => {
      const { signal } = new AbortController();
      const results = await runCases(policy, parseCases(text, heading), { fuel: undefined, signal });
      expect(results.length).toBeGreaterThan(0);
      expect(results.filter(({ passed }) => !passed)).toEqual([]);
      // A tenth of the budget: room for other facts than those of the cases.
      expect(Math.max(...results.map(({ fuel }) => fuel!))).toBeLessThan(DEFAULT_FUEL / 10);
    });
  },
);

test('the first example is a policy, too', async () => {
  const [first] = blocks.filter(({ language }) => language === 'rego skip');
  await runAsync(checkPolicy(first!.text, 'it'));
});

test('the input on the page has the fields of the real one', () => {
  const shown = JSON.parse(blocks.find(({ language }) => language === 'json input')!.text) as Record<string, unknown>;
  const real = buildPolicyInput({
    action: 'open',
    claims: { customer: 'acme' },
    env: [],
    model: { metadata: { format: 'pt' }, tensors: 148, signer: 'vendor-2026' },
    license: { id: 'L-1', claims: { plan: 'pro' }, issued_ns: 0n, expires_ns: null, not_before_ns: null },
    tensor: { name: 'lm_head.weight', dtype: 'BF16', shape: [32_000, 4_096] },
  });
  /** Names of all fields, but for those that the user chooses. */
  const fields = (value: unknown, path = ''): string[] =>
    typeof value !== 'object' || value === null || Array.isArray(value) || /(env|claims|metadata)$/.test(path)
      ? [path]
      : Object.entries(value).flatMap(([name, field]) => fields(field, `${path}.${name}`));
  expect(fields(shown).sort()).toEqual(fields(real).sort());
});
