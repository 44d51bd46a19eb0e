/**
 * `npm run bench`: whole loads, saves, slices and openings, this library against what its users would use instead.
 *
 *   npm run bench                          the full table (some minutes, about 6 GiB of disk and memory)
 *   npm run bench -- --quick               small sizes, few rounds: checks that all competitors agree
 *   npm run bench -- --sizes 64MiB,1GiB --rounds 15 --out bench/results
 *   npm run bench -- --sections load,minilm
 *
 * Every competitor is a process that lives for the whole run. Before anything is timed all of them must give the same bytes.
 * Then they take turns, round after round, so that a machine that is busy for a while is busy for everybody; what is compared
 * are medians of ratios within a round.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensurePythonEnv } from '../scripts/python-env.mjs';
import { budgetTable, checkBudgets } from './budgets.mjs';
import { chart } from './chart.mjs';
import { Child } from './child.mjs';
import { Competition } from './competition.mjs';
import { makeManyTensors, makeMiniLm, makeModel } from './files.mjs';
import { describeMachine } from './machine.mjs';
import { benchPolicy } from './policy.mjs';
import { benchDelay } from './sections/delay.mjs';
import { benchEncrypt } from './sections/encrypt.mjs';
import { benchColdLoad, benchLoad } from './sections/load.mjs';
import { benchOpen } from './sections/open.mjs';
import { benchPeak } from './sections/peak.mjs';
import { benchSlice } from './sections/slice.mjs';
import { benchSmallReads } from './sections/small-reads.mjs';
import { formatBytes } from './statistics.mjs';

const SECTIONS = ['load', 'cold', 'slice', 'encrypt', 'delay', 'peak', 'open', 'small-reads', 'minilm', 'policy'];

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    sizes: { type: 'string', default: '' },
    rounds: { type: 'string', default: '' },
    sections: { type: 'string', default: SECTIONS.join(',') },
    only: { type: 'string', default: '' },
    out: { type: 'string', default: fileURLToPath(new URL('results', import.meta.url)) },
  },
});
const sizes = parseSizes(flags.sizes || (flags.quick ? '1MiB,8MiB' : '1MiB,64MiB,1GiB'));
const rounds = Number(flags.rounds || (flags.quick ? 2 : 11));
const sections = new Set(flags.sections.split(','));
for (const name of sections)
  if (!SECTIONS.includes(name)) throw new Error(`--sections: ${name} is none of ${SECTIONS}`);

const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-bench-'));
const target = join(folder, 'target.safetensors');
const node = fileURLToPath(new URL('children/node.mjs', import.meta.url));
const startNode = (env = {}) => new Child(process.execPath, ['--expose-gc', node], env);
const children = {
  auto: startNode(),
  ring: startNode({ CRYPTOTENSORS_ENGINE: 'ring' }),
  openssl: startNode({ CRYPTOTENSORS_ENGINE: 'openssl' }),
  python: new Child(await ensurePythonEnv(), [fileURLToPath(new URL('children/python.py', import.meta.url))]),
};
const competition = new Competition(children, flags.only === '' ? null : new RegExp(flags.only));

/** @param {string} text */
function parseSizes(text) {
  const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
  return text.split(',').map((size) => {
    const match = /^(\d+)(B|KiB|MiB|GiB)$/.exec(size);
    if (match === null) throw new Error(`--sizes: ${size} is not like 64MiB`);
    return Number(match[1]) * units[match[2]];
  });
}

/** A model is there while its sections run: the larger ones would not fit beside each other. */
async function withModel(making, use) {
  const model = await making;
  await children.python.ask({ do: 'keys', keys: model.jwks.keys });
  try {
    return await use(model);
  } finally {
    model.remove();
  }
}

async function benchSize(size) {
  const label = formatBytes(size);
  const large = size >= 2 ** 28;
  await withModel(makeModel(folder, size), async (model) => {
    if (sections.has('load')) results.push(await benchLoad(competition, label, model, rounds));
    if (sections.has('cold') && (large || flags.quick))
      results.push(await benchColdLoad(competition, label, model, Math.min(rounds, 7), children));
    if (sections.has('slice') && size >= 16 * 2 ** 20) results.push(await benchSlice(competition, model, rounds * 3));
    if (sections.has('encrypt'))
      results.push(await benchEncrypt(competition, label, model, target, Math.min(rounds, 5)));
    if (sections.has('delay') && large) results.push(await benchDelay(children, label, model, rounds));
    if (sections.has('peak') && (large || flags.quick))
      await withModel(makeModel(folder, 2 ** 20 - 8192), async (small) =>
        results.push(await benchPeak(startNode, label, model, small, target)),
      );
  });
}

const results = [];
try {
  for (const size of sizes) await benchSize(size);
  if (sections.has('open') || sections.has('small-reads')) {
    await withModel(makeManyTensors(folder, flags.quick ? 2000 : 100_000), async (many) => {
      if (sections.has('open')) results.push(await benchOpen(competition, many, rounds));
      if (sections.has('small-reads')) results.push(await benchSmallReads(startNode, many, flags.quick ? 3 : 24));
    });
  }
  if (sections.has('minilm')) {
    await withModel(makeMiniLm(folder, flags.quick), (model) =>
      benchLoad(competition, model.label, model, rounds).then((result) => results.push(result)),
    );
  }
  if (sections.has('policy')) results.push(await benchPolicy(flags.quick ? 20 : 200));
} finally {
  for (const child of Object.values(children)) void child.close();
  rmSync(folder, { recursive: true, force: true });
}

const measured = results.filter((result) => result !== null);
const budgets = checkBudgets(measured);
mkdirSync(flags.out, { recursive: true });
const report = { machine: describeMachine(), rounds, quick: flags.quick, budgets, results: measured };
writeFileSync(join(flags.out, 'results.json'), `${JSON.stringify(report, null, 1)}\n`);
for (const [i, result] of measured.entries()) {
  if (result.title.startsWith('Load')) writeFileSync(join(flags.out, `load-${i}.svg`), chart(result));
}
if (!flags.quick && budgets.length > 0) {
  const table = budgetTable(budgets);
  writeFileSync(join(flags.out, 'budgets.md'), `${table}\n`);
  console.log(`\n${table}`);
}
console.log(`\nAll competitors gave equal bytes. Results in ${flags.out}`);
