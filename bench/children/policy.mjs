/**
 * Asks hostile policies, and prints one line of JSON: what each question took, in milliseconds, and what stopped it.
 *
 *   node bench/children/policy.mjs INDEX [ROUNDS]     one policy, first in this process, then ROUNDS times; -1 is a harmless one
 */
import { readFileSync } from 'node:fs';
import { judgePolicy } from '../../dist/policy/evaluate.js';
import { buildPolicyInput } from '../../dist/policy/input.js';
import { runSync } from '../../dist/twin.js';
import { HOSTILE } from '../../test/policy/hostile-policies.mjs';

const [index, rounds = 0] = process.argv.slice(2).map(Number);
const [name, policy] = HOSTILE[index] ?? ['(a harmless one)', 'package model\nallow if input.action == "open"'];
const input = buildPolicyInput({
  action: 'open',
  claims: { list: Array.from({ length: 1_000 }, (_, i) => i) },
  env: undefined,
  model: { metadata: {}, tensors: 1, signer: null },
  now: () => 1n,
});
const nobody = new Int32Array(new SharedArrayBuffer(4));

/** Milliseconds of processor time of the calling thread; elsewhere than on Linux, of the process. */
function cpu() {
  try {
    // The kernel brings its account up to date when the thread pauses.
    Atomics.wait(nobody, 0, 0, 0.05);
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  }
}

function ask() {
  const from = { cpu: cpu(), wall: performance.now() };
  const { fuel, outcome, problem } = runSync(judgePolicy(policy, { input }));
  const wall = performance.now() - from.wall;
  return { wall, cpu: cpu() - from.cpu, fuel, ending: wordsOf(problem) ?? outcome };
}

/** A problem that advises is in parts, of which some name options. */
function wordsOf(problem) {
  if (typeof problem !== 'object') return problem;
  return problem.problem.filter((part) => typeof part === 'string').join('');
}

cpu();
const first = ask();
for (let i = 0; i < 3 && rounds > 0; i++) ask();
const before = process.memoryUsage.rss();
const later = Array.from({ length: rounds }, ask);
const after = process.memoryUsage.rss();
const warm = Object.fromEntries(['wall', 'cpu'].map((kind) => [kind, Math.min(...later.map((one) => one[kind]))]));
console.log(
  JSON.stringify({
    name,
    fuel: first.fuel,
    ending: first.ending,
    cold: first,
    ...(rounds > 0 ? { warm, memory: { before, after } } : {}),
  }),
);
