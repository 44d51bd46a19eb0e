/**
 * Does many things at once that end badly, at random moments, for a while: reads that are aborted, models that are closed while
 * they are read, files that are cut or changed under a load, workers that are terminated in the middle of one. After each:
 * the right bytes, or the error that it must be and wiped memory. At the end descriptors and memory are back where they were.
 *
 *   node scripts/soak.mjs --seconds 600 --seed 1
 */
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, openSync, closeSync, readdirSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { generateKeys, safeOpen, saveFile } from 'cryptotensors';

const { values: flags } = parseArgs({
  options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});
const CONCURRENT = 6;
const TENSORS = 12;
const BYTES = 2 ** 20;
/** Buffers that are still referred to at the end are leaks; the garbage collector may be a read behind. */
const BUFFERS_LIMIT = 2 * TENSORS * BYTES;
/** What the process grows by from one half to the other: allocators keep fragments of what they gave out, some tens of MiB. */
const GROWTH_LIMIT = 256 * 2 ** 20;

/** What destinations hold before a read. */
const UNTOUCHED = 0xee;

const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-soak-'));
const keys = generateKeys();
let state = Number(flags.seed) >>> 0;

/** An integer of [0, n): the same sequence for the same seed (mulberry32). */
function below(n) {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % n;
}

const expected = Array.from({ length: TENSORS }, (_, i) =>
  Uint8Array.from({ length: BYTES }, (_, k) => (k * 7 + i) & 0xff),
);
const files = {};
for (const [name, options] of Object.entries({
  chunked: { keys, chunkSize: 2 ** 17 },
  version1: { keys, version: 1 },
  partial: { keys, tensors: ['t0', 't3', 't7'], integrity: 'blake3' },
  plain: {},
})) {
  files[name] = join(folder, name);
  await saveFile(
    new Map(expected.map((data, i) => [`t${i}`, { dtype: 'U8', shape: [BYTES], data }])),
    files[name],
    options,
  );
}

/** Shared memory, which a read works on in place: what is in any other is out of reach after a failure. */
const destination = () => new Uint8Array(new SharedArrayBuffer(TENSORS * BYTES)).fill(UNTOUCHED);

const counts = {};
const count = (what) => (counts[what] = (counts[what] ?? 0) + 1);

function assertBytes(bytes, want, what) {
  if (Buffer.compare(bytes, want) !== 0) throw new Error(`${what}: wrong bytes`);
}

/** What a read wrote is wiped when it fails; what it never came to is left as it was. */
function assertWiped(bytes, what) {
  if (!bytes.every((byte) => byte === 0 || byte === UNTOUCHED)) throw new Error(`${what}: the memory was not wiped`);
}

/** Lets the work end as it may: with its result, or with an error of one of these codes. */
async function outcome(work, codes, what) {
  try {
    const result = await work;
    count(`${what}: done`);
    return { result };
  } catch (error) {
    if (!codes.includes(error.code)) throw new Error(`${what}: ${error.code} ${error.message}`, { cause: error });
    count(`${what}: ${error.code}`);
    return {};
  }
}

/** Closes the model in any case. */
async function withModel(path, openOptions, use) {
  const model = await safeOpen(path, openOptions);
  try {
    await use(model);
  } finally {
    await model.close();
  }
}

const options = (name) => (name === 'plain' ? {} : { keys });
const randomFile = () => Object.keys(files)[below(4)];

const scenarios = {
  async abort() {
    const name = randomFile();
    await withModel(files[name], options(name), async (model) => {
      const stop = new AbortController();
      const into = destination();
      const work = model.getTensors({ into, signal: stop.signal });
      setTimeout(() => stop.abort(), below(8));
      const { result } = await outcome(work, ['ABORT_ERR'], 'abort');
      if (result === undefined) assertWiped(into, 'abort');
      else for (const [i, want] of expected.entries()) assertBytes(result.get(`t${i}`).bytes, want, 'abort');
    });
  },
  async close() {
    const name = randomFile();
    const model = await safeOpen(files[name], options(name));
    const work = Promise.all(
      Array.from({ length: 5 }, () => outcome(model.getTensor(`t${below(TENSORS)}`), ['Closed'], 'close')),
    );
    await sleep(below(6));
    await model.close();
    await work;
  },
  async slice() {
    const name = randomFile();
    await withModel(files[name], options(name), async (model) => {
      const [from, length, tensor] = [below(BYTES), below(100_000), below(TENSORS)];
      const to = Math.min(BYTES, from + length);
      const part = await model.getSlice(`t${tensor}`).read([from, to]);
      assertBytes(part.bytes, expected[tensor].subarray(from, to), 'slice');
      count('slice: done');
    });
  },
  async change() {
    const name = ['chunked', 'version1', 'partial'][below(3)];
    const path = join(folder, `changed-${below(1e9)}`);
    copyFileSync(files[name], path);
    await withModel(path, { keys }, async (model) => {
      const into = destination();
      const work = model.getTensors({ into });
      await sleep(below(8));
      const begin = model.info('t5').dataOffsets[0];
      if (below(2) === 0) truncateSync(path, begin + below(BYTES));
      else scribble(path, begin);
      const { result } = await outcome(work, ['FileChanged', 'BadTag', 'BadDigest'], 'change');
      if (result === undefined) assertWiped(into, 'change');
      else for (const [i, want] of expected.entries()) assertBytes(result.get(`t${i}`).bytes, want, 'change');
      rmSync(path);
    });
  },
  async terminate() {
    await withModel(files.chunked, { keys }, async (model) => {
      const source = `
        import { parentPort, workerData } from 'node:worker_threads';
        const { SafeFile } = await import(workerData.library);
        const model = SafeFile.attach(workerData.token);
      parentPort.postMessage('ready');
        for (;;) await model.getTensors();`;
      const library = new URL('../dist/index.js', import.meta.url).href;
      const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
        workerData: { token: model.share(), library },
      });
      worker.on('error', (error) => {
        throw error;
      });
      // While it loads modules, Node.js itself would leave their descriptors open.
      await once(worker, 'message');
      await sleep(below(10));
      await worker.terminate();
      const tensor = await model.getTensor('t1');
      assertBytes(tensor.bytes, expected[1], 'terminate');
      count('terminate: done');
    });
  },
};

function scribble(path, position) {
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.from([below(256), below(256)]), 0, 2, position + below(BYTES));
  closeSync(file);
}

const descriptors = () => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0);

async function settle() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await sleep(50);
  }
}

async function run(seconds) {
  const end = performance.now() + seconds * 1000;
  const names = Object.keys(scenarios);
  const lane = async () => {
    // Workers take a hundred times as long as the others to start.
    while (performance.now() < end) await scenarios[below(20) === 0 ? 'terminate' : names[below(names.length - 1)]]();
  };
  await Promise.all(Array.from({ length: CONCURRENT }, lane));
}

try {
  console.log(
    `${fileURLToPath(import.meta.url)
      .split('/')
      .at(-1)}: ${flags.seconds} s, seed ${flags.seed}`,
  );
  // Allocators and the runtime fill their pools in the first half.
  await run(Number(flags.seconds) / 2);
  await settle();
  const before = { descriptors: descriptors(), ...process.memoryUsage() };
  await run(Number(flags.seconds) / 2);
  await settle();
  const after = { descriptors: descriptors(), ...process.memoryUsage() };
  for (const [what, times] of Object.entries(counts).sort()) console.log(`  ${what.padEnd(24)} ${times}`);
  const growth = after.rss - before.rss;
  console.log(
    `  descriptors ${before.descriptors} -> ${after.descriptors}, memory grew by ${Math.round(growth / 2 ** 20)} MiB`,
  );
  if (after.descriptors > before.descriptors) throw new Error('descriptors were left open');
  const buffers = after.arrayBuffers - before.arrayBuffers;
  if (buffers > BUFFERS_LIMIT) throw new Error(`buffers of ${buffers} bytes were not let go of`);
  if (growth > GROWTH_LIMIT) throw new Error('memory was not given back');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
