/**
 * Asks hostile policies, and prints one line of JSON: the milliseconds of each question.
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

/** Milliseconds of processor time of the calling thread; elsewhere than on Linux, of the process. */
function cpu() {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;
  } catch {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  }
}

function ask() {
  const from = { wall: performance.now(), cpu: cpu() };
  const { fuel } = runSync(judgePolicy(policy, { input }));
  return { wall: performance.now() - from.wall, cpu: cpu() - from.cpu, fuel };
}

cpu();
const first = ask();
for (let i = 0; i < 3 && rounds > 0; i++) ask();
// Several at a time: the kernel's account of a thread is only as fine as its ticks.
const memory = process.memoryUsage.rss();
const from = { wall: performance.now(), cpu: cpu() };
const walls = Array.from({ length: rounds }, () => ask().wall);
const warm = { wall: Math.min(...walls), cpu: (cpu() - from.cpu) / rounds };
const kept = process.memoryUsage.rss() - memory;
console.log(JSON.stringify({ name, fuel: first.fuel, cold: first, ...(rounds > 0 ? { warm, kept } : {}) }));
