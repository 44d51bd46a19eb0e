// The fuel of policies must be the same to the unit in every runtime: the hostile ones of the tests, and the recipes.
//
//   node scripts/fuel.mjs [NAME ...]     compares this Node.js with the runtimes of scripts/runtimes.mjs, all unless some are named
//   node scripts/fuel.mjs --print        prints the fuel of each policy in whichever runtime runs this, as JSON
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { judgePolicy } from '../dist/policy/evaluate.js';
import { runSync } from '../dist/twin.js';
import { HOSTILE } from '../test/policy/hostile-policies.mjs';
import { commandOf, runtimeNames } from './runtimes.mjs';

const self = fileURLToPath(import.meta.url);
/** The same everywhere, whatever the runtime and the machine are called. */
const input = {
  action: 'open',
  time: { now_ns: 1_767_225_600_000_000_000n, rfc3339: '2026-01-01T00:00:00.000Z' },
  host: { platform: 'linux', arch: 'x64', hostname: 'localhost' },
  runtime: { name: 'node', version: '20.19.0' },
  env: {},
  claims: { customer: 'acme', list: Array.from({ length: 1_000 }, (_, i) => i) },
  model: { metadata: { format: 'pt' }, tensors: 148, signer: null },
};
const tensor = { name: 'lm_head.weight', dtype: 'BF16', shape: [32_000, 4_096] };

function recipes() {
  const page = readFileSync(join(self, '../../docs/policies.md'), 'utf8');
  return [...page.matchAll(/^```rego\n([^]*?)^```/gm)].map(([, policy], i) => [`recipe ${i + 1}`, policy]);
}

function measure() {
  const measured = {};
  for (const [name, policy] of [...recipes(), ...HOSTILE]) {
    const { outcome, fuel, problem } = runSync(judgePolicy(policy, { input }));
    measured[name] = [outcome, fuel, problem];
  }
  for (const [name, policy] of recipes()) {
    const { outcome, fuel } = runSync(
      judgePolicy(policy, { rule: 'allow_tensor', input: { ...input, action: 'read', tensor } }),
    );
    measured[`${name}, of a tensor`] = [outcome, fuel];
  }
  return measured;
}

function compare(names) {
  const here = measure();
  const entries = Object.entries(here);
  let different = 0;
  for (const name of names) {
    const [program, ...words] = commandOf(name);
    const { status, stdout, stderr } = spawnSync(program, [...words, self, '--print'], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${name} ended with status ${status}: ${stderr}`);
    const there = JSON.parse(stdout);
    const wrong = entries.filter(([policy, answer]) => JSON.stringify(there[policy]) !== JSON.stringify(answer));
    for (const [policy, answer] of wrong) console.log(`${name}: ${policy}: ${there[policy]}, and here ${answer}`);
    console.log(`${name.padEnd(7)} ${entries.length} policies, ${wrong.length} different`);
    different += wrong.length;
  }
  return different;
}

const names = process.argv.slice(2);
if (names[0] === '--print') console.log(JSON.stringify(measure()));
else process.exitCode = compare(names.length > 0 ? names : runtimeNames) > 0 ? 1 : 0;
