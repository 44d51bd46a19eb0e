/**
 * What the hostile policies of the tests take at the default budget: first in a process of its own, and again in the same. The
 * least of some rounds is what the work takes; what is above it is the machine's. All policies take turns.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { HOSTILE } from '../test/policy/hostile-policies.mjs';

const child = fileURLToPath(new URL('children/policy.mjs', import.meta.url));
const WARM = 5;
/** What ends a question within this is what is promised, in milliseconds of the thread. */
const TARGET = 30;

/** Node.js reads these beside its first work, which would then be counted with it. */
const env = { ...process.env, NODE_EXTRA_CA_CERTS: '' };

function ask(index) {
  const words = [child, String(index), String(WARM)];
  const { stdout, stderr, status } = spawnSync(process.execPath, words, { encoding: 'utf8', env });
  if (status !== 0) throw new Error(`the process ended with status ${status}: ${stderr}`);
  return JSON.parse(stdout);
}

/** @param {number} rounds */
export function benchHostile(rounds) {
  const indices = [...HOSTILE.keys(), -1];
  const rows = new Map();
  for (let round = 0; round < rounds; round++) {
    for (const index of indices) {
      const asked = ask(index);
      const known = rows.get(index) ?? asked;
      if (asked.fuel !== known.fuel)
        throw new Error(`${asked.name}: ${asked.fuel} units of fuel, and ${known.fuel} before`);
      const kept = growth(asked) < growth(known) ? asked : known;
      rows.set(index, {
        ...known,
        cold: least(known.cold, asked.cold),
        warm: least(known.warm, asked.warm),
        memory: kept.memory,
      });
    }
    console.error(`round ${round + 1} of ${rounds} is done`);
  }
  const sorted = [...rows.values()].sort((a, b) => b.cold.cpu - a.cold.cpu);
  print(sorted, rounds);
  return sorted;
}

function print(rows, rounds) {
  console.log(
    `\n${rows.length - 1} hostile policies (ms; least of ${rounds} rounds; memory before and after ${WARM} questions)`,
  );
  const heads = ['thread', 'wall', 'warm', 'wall'].map((head) => head.padStart(7)).join(' ');
  console.log(`  ${''.padEnd(48)} ${heads} ${'fuel'.padStart(10)} ${'MiB'.padStart(9)}  ended by`);
  for (const { name, fuel, ending, cold, warm, memory } of rows) {
    const times = [cold.cpu, cold.wall, warm.cpu, warm.wall].map((ms) => ms.toFixed(1).padStart(7)).join(' ');
    const sizes = [memory.before, memory.after].map((bytes) => Math.round(bytes / 2 ** 20)).join('-');
    console.log(
      `  ${name.slice(0, 48).padEnd(48)} ${times} ${String(fuel).padStart(10)} ${sizes.padStart(9)}  ${ending.slice(0, 70)}`,
    );
  }
  for (const kind of ['cold', 'warm']) {
    const times = rows.map((row) => row[kind].cpu).sort((a, b) => a - b);
    const above = times.filter((ms) => ms > TARGET).length;
    const [middle, most] = [times[times.length >> 1], times.at(-1)].map((ms) => ms.toFixed(1));
    console.log(`${kind}: ${middle} ms of the thread in the middle, ${most} at the most, ${above} above ${TARGET}`);
  }
  console.log(`Memory kept, at the most: ${(Math.max(...rows.map(growth)) / 2 ** 20).toFixed(1)} MiB`);
}

function growth({ memory }) {
  return memory.after - memory.before;
}

function least(a, b) {
  return { cpu: Math.min(a.cpu, b.cpu), wall: Math.min(a.wall, b.wall) };
}
