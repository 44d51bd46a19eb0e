// What starting costs, in CPU time beyond a bare Node.js: importing and requiring the bundle that npm ships, importing the modules that
// it is bundled from, and the command line. Fresh processes, interleaved; medians.
//
//   node bench/start.mjs [ROUNDS]
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = join(import.meta.dirname, '..');
const rounds = Number(process.argv[2] ?? 15);

const used = 'const used = process.cpuUsage(); console.log((used.user + used.system) / 1000);';
const importing = (file) => [
  '--input-type=module',
  '--eval',
  `await import(${JSON.stringify(pathToFileURL(join(root, file)).href)}); ${used}`,
];
const running = (file) => [
  '--import',
  `data:text/javascript,process.on('exit', () => { ${encodeURIComponent(used.replace('console.log(', 'console.error('))} })`,
  join(root, file),
  '--version',
];

const CASES = {
  bare: ['--input-type=module', '--eval', used],
  'modules, imported': importing('dist/index.js'),
  'bundle, imported': importing('lib/index.js'),
  'bundle, required': [
    '--input-type=commonjs',
    '--eval',
    `require(${JSON.stringify(join(root, 'lib/index.cjs'))}); ${used}`,
  ],
  'command line, from modules': running('dist/cli/main.js'),
  'command line, bundled': running('lib/cli.js'),
};

const times = Object.fromEntries(Object.keys(CASES).map((name) => [name, []]));
for (let round = 0; round < rounds; round++) {
  for (const [name, words] of Object.entries(CASES)) {
    const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    const milliseconds = Number((name.startsWith('command') ? stderr : stdout).trim());
    if (!(milliseconds > 0)) throw new Error(`${name}: ${stdout}${stderr}`);
    times[name].push(milliseconds);
  }
}

const median = (list) => list.sort((a, b) => a - b)[list.length >> 1];
const bare = median(times.bare);
const before = median(times['modules, imported']) - bare;
for (const [name, list] of Object.entries(times)) {
  const beyond = median(list) - bare;
  const ratio = name === 'bare' ? '' : `, ${(beyond / before).toFixed(2)} of importing the modules`;
  console.log(`${name.padEnd(28)} ${beyond.toFixed(1).padStart(7)} ms beyond bare Node.js${ratio}`);
}
