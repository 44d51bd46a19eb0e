/**
 * What the hostile policies of the tests take at the default budget: first in a process of its own, and again in the same. The
 * least of some rounds is what the work takes; what is above it is the machine's. All policies take turns.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { HOSTILE } from '../test/policy/hostile-policies.mjs';

const child = fileURLToPath(new URL('children/policy.mjs', import.meta.url));
const WARM = 10;
const SHOWN = 12;

function ask(index) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [child, String(index), String(WARM)], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the process ended with status ${status}: ${stderr}`);
  return JSON.parse(stdout);
}

/** @param {number} rounds */
export function benchHostile(rounds) {
  const rows = HOSTILE.map(([name]) => ({ name, fuel: 0, cold: least(), warm: least(), kept: Infinity }));
  const harmless = { name: '(a harmless one)', fuel: 0, cold: least(), warm: least(), kept: Infinity };
  for (let round = 0; round < rounds; round++) {
    for (const [i, row] of [...rows.entries(), [-1, harmless]]) {
      const { fuel, cold, warm, kept } = ask(i);
      if (round > 0 && fuel !== row.fuel) throw new Error(`${row.name}: ${fuel} units of fuel, and ${row.fuel} before`);
      Object.assign(row, {
        fuel,
        cold: least(row.cold, cold),
        warm: least(row.warm, warm),
        kept: Math.min(row.kept, kept),
      });
    }
  }
  for (const kind of ['cold', 'warm']) {
    const slowest = [...rows].sort((a, b) => b[kind].cpu - a[kind].cpu).slice(0, SHOWN);
    console.log(`\nSlowest of ${rows.length} hostile policies, ${kind} (ms; least of ${rounds} rounds)`);
    console.log(`  ${''.padEnd(54)} ${'thread'.padStart(8)} ${'wall'.padStart(8)} ${'fuel'.padStart(12)}`);
    for (const row of [...slowest, harmless]) {
      const { cpu, wall } = row[kind];
      const figures = [cpu.toFixed(1).padStart(8), wall.toFixed(1).padStart(8), String(row.fuel).padStart(12)];
      console.log(`  ${row.name.slice(0, 54).padEnd(54)} ${figures.join(' ')}`);
    }
  }
  const kept = Math.max(...rows.map((row) => row.kept));
  console.log(`\nMemory that ${WARM} more questions kept, at the most: ${(kept / 2 ** 20).toFixed(1)} MiB`);
  return rows;
}

function least(a = { cpu: Infinity, wall: Infinity }, b = a) {
  return { cpu: Math.min(a.cpu, b.cpu), wall: Math.min(a.wall, b.wall) };
}
