/**
 * `npm run bench`: whole loads, saves, slices and openings, this library against what its users would use instead.
 *
 *   npm run bench                          the full table (some minutes, about 6 GiB of disk and memory)
 *   npm run bench -- --quick               small sizes, few rounds: checks that all competitors agree
 *   npm run bench -- --sizes 64MiB,1GiB --rounds 15 --out bench/results
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
import { Child } from './child.mjs';
import { chart } from './chart.mjs';
import { makeModel, makeManyTensors } from './files.mjs';
import { describeMachine } from './machine.mjs';
import { formatBytes, pairedRatio, summary } from './statistics.mjs';

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    sizes: { type: 'string', default: '' },
    rounds: { type: 'string', default: '' },
    only: { type: 'string', default: '' },
    out: { type: 'string', default: fileURLToPath(new URL('results', import.meta.url)) },
  },
});
const sizes = parseSizes(flags.sizes || (flags.quick ? '1MiB,8MiB' : '1MiB,64MiB,1GiB'));
const rounds = Number(flags.rounds || (flags.quick ? 2 : 11));
const only = flags.only === '' ? null : new RegExp(flags.only);

const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-bench-'));
const node = fileURLToPath(new URL('children/node.mjs', import.meta.url));
const python = await ensurePythonEnv();
const children = {
  auto: nodeChild({}),
  ring: nodeChild({ CRYPTOTENSORS_ENGINE: 'ring' }),
  openssl: nodeChild({ CRYPTOTENSORS_ENGINE: 'openssl' }),
  python: new Child(python, [fileURLToPath(new URL('children/python.py', import.meta.url))]),
};

function nodeChild(env) {
  return new Child(process.execPath, ['--expose-gc', node], env);
}

/** @param {string} text */
function parseSizes(text) {
  const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
  return text.split(',').map((size) => {
    const match = /^(\d+)(B|KiB|MiB|GiB)$/.exec(size);
    if (match === null) throw new Error(`--sizes: ${size} is not like 64MiB`);
    return Number(match[1]) * units[match[2]];
  });
}

/**
 * @typedef {object} Competitor
 * @property {string} name
 * @property {keyof typeof children} child
 * @property {Record<string, unknown>} request
 * @property {boolean} [disagrees] its output is another file, so there is no digest to compare
 */

/**
 * Checks that all agree, then measures in turn.
 *
 * @param {string} title
 * @param {readonly Competitor[]} all
 * @param {number} count rounds
 * @param {number} [touch] bytes of memory that each needs; twice as many are touched before
 */
async function compare(title, all, count, touch = 0) {
  const competitors = all.filter(({ name }) => only === null || only.test(name));
  const digests = new Map();
  for (const { name, child, request, disagrees } of competitors) {
    const { digest } = await children[child].ask({ ...request, digest: !disagrees });
    if (!disagrees) digests.set(name, digest);
  }
  if (new Set(digests.values()).size > 1) {
    throw new Error(
      `${title}: the competitors do not agree:\n${[...digests].map(([name, digest]) => `${digest} ${name}`).join('\n')}`,
    );
  }
  // Once more, unmeasured: caches, just-in-time compilers and the memory of the machine are warm then.
  for (const { child, request } of competitors) await children[child].ask(request);
  const times = new Map(competitors.map(({ name }) => [name, []]));
  const peaks = new Map();
  for (let round = 0; round < count; round++) {
    // Another order each round: nobody always follows the same neighbour.
    for (const { name, child, request } of shuffled(competitors)) {
      if (touch > 0) await children[child].ask({ do: 'touch', bytes: 2 * touch });
      children[child].resetPeak();
      const before = children[child].memory().now;
      const { ms } = await children[child].ask(request);
      times.get(name).push(ms);
      peaks.set(name, Math.max(peaks.get(name) ?? 0, children[child].memory().peak - before));
    }
  }
  const baseline = times.get(competitors[0].name);
  const rows = competitors.map(({ name }) => ({
    name,
    ms: summary(times.get(name)),
    ratio: pairedRatio(times.get(name), baseline),
    times: times.get(name),
    peakBytes: peaks.get(name),
  }));
  print(title, rows);
  return { title, baseline: competitors[0].name, agreed: digests.size, rows };
}

/** @template Item @param {readonly Item[]} items */
function shuffled(items) {
  return items
    .map((item) => ({ item, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

function print(title, rows) {
  const width = Math.max(...rows.map(({ name }) => name.length));
  console.log(`\n${title}`);
  for (const { name, ms, ratio, peakBytes } of rows) {
    const range = `${ms.low.toFixed(1)}-${ms.high.toFixed(1)}`;
    console.log(
      `  ${name.padEnd(width)}  ${ms.median.toFixed(1).padStart(9)} ms  ${range.padStart(17)}  x ${ratio.median.toFixed(2).padStart(6)}  peak +${formatBytes(peakBytes)}`,
    );
  }
}

/** The event loop's delay during an asynchronous load, against that of a process that does nothing. */
async function measureDelay(size, path, keys) {
  const samples = [];
  for (let round = 0; round < rounds; round++) {
    samples.push((await children.auto.ask({ do: 'delay', path, keys, digest: true })).digest);
  }
  const of = (phase, field) => summary(samples.map((sample) => sample[phase][field]));
  const delay = {
    idle: { p99: of('idle', 'p99'), max: of('idle', 'max') },
    loading: { p99: of('loading', 'p99'), max: of('loading', 'max') },
  };
  const title = `Delay of the event loop during a ${formatBytes(size)} encrypted load, in ms`;
  console.log(`\n${title}`);
  for (const [phase, { p99, max }] of Object.entries(delay)) {
    console.log(
      `  ${phase.padEnd(8)} p99 ${p99.median.toFixed(2)} (to ${p99.high.toFixed(2)}), worst ${max.median.toFixed(2)} (to ${max.high.toFixed(2)})`,
    );
  }
  return { title, delay };
}

const results = [];
try {
  for (const size of sizes) {
    const model = await makeModel(folder, size);
    await children.python.ask({ do: 'keys', keys: model.jwks.keys });
    const { plain, encrypted, reference, keys } = model;
    const load = (name, child, path, more = {}) => ({ name, child, request: { do: 'load', path, ...more } });
    results.push(
      await compare(
        `Load ${formatBytes(size)}`,
        [
          { name: 'fs.readSync, plain, fresh Buffer', child: 'auto', request: { do: 'readSync', path: plain } },
          ...(size < 2 ** 31
            ? [{ name: 'fs.promises.readFile, plain', child: 'auto', request: { do: 'readFile', path: plain } }]
            : []),
          load('this library, plain (pread into huge pages)', 'auto', plain),
          load('this library, plain, 1 thread', 'auto', plain, { threads: 1 }),
          load('this library, encrypted', 'auto', encrypted, { keys }),
          load('this library, encrypted, 1 thread', 'auto', encrypted, { keys, threads: 1 }),
          {
            name: 'this library, encrypted, memory recycled',
            child: 'auto',
            request: { do: 'recycle', path: encrypted, keys },
          },
          load('this library, encrypted, ring', 'ring', encrypted, { keys }),
          load('this library, encrypted, ring, 1 thread', 'ring', encrypted, { keys, threads: 1 }),
          load('this library, encrypted, openssl', 'openssl', encrypted, { keys }),
          load('this library, encrypted, openssl, 1 thread', 'openssl', encrypted, { keys, threads: 1 }),
          { name: 'node:crypto in a loop', child: 'auto', request: { do: 'nodeCrypto', ...model.handmade } },
          {
            name: 'reference (Python), encrypted',
            child: 'python',
            request: { do: 'load_reference', path: encrypted },
          },
          { name: 'safetensors (Python), plain', child: 'python', request: { do: 'load_safetensors', path: plain } },
        ],
        rounds,
        size,
        size,
      ),
    );
    if (size >= 16 * 2 ** 20) {
      const slice = { path: encrypted, name: 'w0', rows: [512, 640] };
      results.push(
        await compare(
          'Read 128 rows of an encrypted 16 MiB tensor',
          [
            { name: 'reference (Python)', child: 'python', request: { do: 'slice_reference', ...slice } },
            { name: 'this library', child: 'auto', request: { do: 'slice', keys, ...slice } },
          ],
          rounds * 3,
        ),
      );
    }
    const target = join(folder, 'target.safetensors');
    results.push(
      await compare(
        `Encrypt ${formatBytes(size)}`,
        [
          {
            name: 'cp (fs.copyFileSync)',
            child: 'auto',
            disagrees: true,
            request: { do: 'copy', path: plain, target },
          },
          { name: 'cp (coreutils)', child: 'auto', disagrees: true, request: { do: 'cp', path: plain, target } },
          {
            name: 'this library, encryptFile, without fsync as the others',
            child: 'auto',
            disagrees: true,
            request: { do: 'encrypt', path: plain, target, keys, durable: false },
          },
          {
            name: 'this library, encryptFile, with fsync (the default)',
            child: 'auto',
            disagrees: true,
            request: { do: 'encrypt', path: plain, target, keys, durable: true },
          },
          {
            name: 'reference (Python), save_file from memory',
            child: 'python',
            disagrees: true,
            request: { do: 'save_reference', path: plain, target, config: reference },
          },
        ],
        Math.min(rounds, 5),
      ),
    );
    if (size >= 2 ** 28) results.push(await measureDelay(size, encrypted, keys));
    model.remove();
  }
  const many = await makeManyTensors(folder, flags.quick ? 2000 : 100_000);
  await children.python.ask({ do: 'keys', keys: many.jwks.keys });
  results.push(
    await compare(
      `Open ${many.count} encrypted tensors and read one`,
      [
        {
          name: 'reference (Python)',
          child: 'python',
          request: { do: 'open_reference', path: many.path, name: many.name },
        },
        {
          name: 'this library',
          child: 'auto',
          request: { do: 'open', path: many.path, keys: many.keys, name: many.name },
        },
      ],
      rounds,
    ),
  );
  many.remove();
} finally {
  for (const child of Object.values(children)) void child.close();
  rmSync(folder, { recursive: true, force: true });
}

mkdirSync(flags.out, { recursive: true });
const report = { machine: describeMachine(), rounds, quick: flags.quick, results };
writeFileSync(join(flags.out, 'results.json'), `${JSON.stringify(report, null, 1)}\n`);
for (const [i, result] of results.entries()) {
  if (result.title.startsWith('Load')) writeFileSync(join(flags.out, `load-${i}.svg`), chart(result));
}
console.log(`\nAll competitors gave equal bytes. Results in ${flags.out}`);
