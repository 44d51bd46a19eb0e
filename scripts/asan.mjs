// Builds the addon with AddressSanitizer in a folder of its own and runs the tests of native memory under it.
//
//   node scripts/asan.mjs [--quick] [NAME or path of a Node.js ...] [-- files for vitest ...]
//
// NAME is a runtime of scripts/runtimes.mjs, such as node22, fetched when it is needed; without any, the Node.js that runs this.
// --quick: the attacks on memory only, which take about two minutes once the addon is compiled. Linux with gcc. The project must have been built: its Rust
// library and dist/ are used, and its own build is left alone. Succeeds if every test passed and AddressSanitizer reported nothing.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runtime, runtimeNames } from './runtimes.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const QUICK = ['test/attacks/memory.test.ts'];
const ALL = [
  'test/attacks',
  'test/conformance',
  'test/engine/',
  'test/open',
  'test/read',
  'test/report',
  'test/model',
  'test/writer',
  'test/lifecycle',
  'test/native',
];
/** Not copied: what is large, or made by tools. */
const LEFT = new Set(['.git', '.cache', 'node_modules', 'build', 'target']);

const separator = process.argv.indexOf('--');
const words = process.argv.slice(2, separator < 0 ? undefined : separator);
const chosen = separator < 0 ? null : process.argv.slice(separator + 1);
const tests = chosen ?? (words.includes('--quick') ? QUICK : ALL);
const nodes = words.filter((word) => word !== '--quick');

/** Stays, so that next time only what has changed is compiled. */
const folder = join(root, '.cache/asan');
build();
for (const node of nodes.length > 0 ? nodes : [process.execPath]) {
  if (!run(runtimeNames.includes(node) ? runtime(node) : node)) process.exitCode = 1;
}

function build() {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) {
    if (name !== 'build') rmSync(join(folder, name), { recursive: true });
  }
  for (const name of readdirSync(root)) {
    const filter = (path) => !LEFT.has(basename(path));
    cpSync(join(root, name), join(folder, name), { recursive: true, preserveTimestamps: true, filter });
  }
  for (const path of ['node_modules', 'native/rust/aead/target']) symlinkSync(join(root, path), join(folder, path));
  // Symbols stay, for the reports; what is fortified would go past AddressSanitizer.
  const gyp = readFileSync(join(root, 'binding.gyp'), 'utf8');
  const instrumented = gyp
    .replace("'configurations': {'Release': {'ldflags': ['-s']}},", '')
    .replace("'_FORTIFY_SOURCE=2'", '');
  if (instrumented.length === gyp.length) throw new Error('binding.gyp strips symbols in a way that is not known here');
  writeFileSync(join(folder, 'binding.gyp'), instrumented);
  const flags = '-fsanitize=address -fno-omit-frame-pointer -g1';
  const nodedir = dirname(dirname(process.execPath));
  const gypWords = [
    join(root, 'node_modules/node-gyp/bin/node-gyp.js'),
    'configure',
    'build',
    '-j',
    '2',
    `--nodedir=${nodedir}`,
  ];
  const { status, stdout, stderr } = spawnSync(process.execPath, gypWords, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, CFLAGS: flags, CXXFLAGS: flags, LDFLAGS: '-fsanitize=address' },
  });
  if (status !== 0) throw new Error(`${stdout}${stderr}the addon could not be built with AddressSanitizer`);
}

/** @returns whether all is well */
function run(node) {
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  const logs = join(folder, `reports-${version}`);
  mkdirSync(logs);
  const env = {
    ...process.env,
    LD_PRELOAD: execFileSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim(),
    // Leaks are not looked for: V8 frees little when it ends. Memory that cannot be had is an error that tests ask for.
    ASAN_OPTIONS: `detect_leaks=0:allocator_may_return_null=1:log_path=${join(logs, 'report')}`,
  };
  const ask = "console.log((await import('cryptotensors')).engineInfo().engine)";
  const engine = spawnSync(node, ['--input-type=module', '-e', ask], { cwd: folder, encoding: 'utf8', env });
  if (engine.stdout.trim() !== 'native') throw new Error(`the addon does not load:\n${engine.stdout}${engine.stderr}`);
  const results = join(folder, `results-${version}.json`);
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--pool=forks', '--reporter=default', '--reporter=json'];
  const { status } = spawnSync(node, [...vitest, `--outputFile.json=${results}`, ...tests], {
    cwd: folder,
    stdio: 'inherit',
    env,
  });
  // What merely says that memory could not be had is no report: tests ask for more than there is.
  const reports = readdirSync(logs).filter((name) => readFileSync(join(logs, name), 'utf8').includes('ERROR: '));
  for (const report of reports) console.log(readFileSync(join(logs, report), 'utf8'));
  summarize(version, JSON.parse(readFileSync(results, 'utf8')), reports.length);
  return status === 0 && reports.length === 0;
}

function summarize(version, { testResults }, reports) {
  const rooms = new Map();
  for (const { name, assertionResults } of testResults) {
    const room = name.slice(folder.length + 1).replace(/^(test\/[^/]+)\/(?!memory\.test).*/, '$1');
    const counts = rooms.get(room) ?? { passed: 0, failed: 0 };
    for (const { status } of assertionResults) counts[status] = (counts[status] ?? 0) + 1;
    rooms.set(room, counts);
  }
  console.log(`\nAddressSanitizer, Node.js ${version}: ${reports} reports`);
  for (const [room, counts] of rooms) {
    console.log(
      `  ${room}: ${Object.entries(counts)
        .map(([status, count]) => `${count} ${status}`)
        .join(', ')}`,
    );
  }
}
