// Builds the addon for every platform that the package brings it for, on one Linux machine, into prebuilds/ (CONTRIBUTING.md).
//
//   node scripts/prebuild.mjs [TARGET ...]           builds and checks; without names, all eight
//   node scripts/prebuild.mjs --check [TARGET ...]   checks what is there
//   node scripts/prebuild.mjs --run                  checks what is there, runs it, and writes docs/platforms.md
//   node scripts/prebuild.mjs --complete             fails unless all eight are there and hold: for releases
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, prebuilds } from './prebuild/build.mjs';
import { check } from './prebuild/check.mjs';
import { platformsPage } from './prebuild/page.mjs';
import { fileOf, targets, targetsNamed } from './prebuild/targets.mjs';
import { root } from './prebuild/toolchain.mjs';
import { tryOut } from './prebuild/try.mjs';

const words = process.argv.slice(2);
const has = (flag) => words.includes(flag);
const named = targetsNamed(words.filter((word) => !word.startsWith('--')));
const fileFor = (target) => join(prebuilds, fileOf(target));

if (has('--run')) writePage();
else if (has('--complete')) requireAll();
else for (const target of named) await make(target);

async function make(target) {
  const begin = performance.now();
  const file = has('--check') ? fileFor(target) : await build(target);
  const { bytes, floor, needed } = check(target, file);
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(`${target.name}: ${bytes} bytes, ${floor}, needs ${needed.join(' ') || 'no library'} (${seconds} s)`);
}

function requireAll() {
  const missing = targets.filter((target) => !existsSync(fileFor(target)));
  if (missing.length > 0) throw new Error(`there is no addon for ${missing.map((target) => target.name).join(', ')}`);
  for (const target of targets) check(target, fileFor(target));
}

function writePage() {
  const rows = targets.map((target) => {
    if (!existsSync(fileFor(target))) return { target, tried: [] };
    const facts = check(target, fileFor(target));
    const tried = tryOut(target);
    for (const { on, words: outcome } of tried) console.log(`${target.name}, ${on}: ${outcome}`);
    return { target, facts, tried };
  });
  writeFileSync(join(root, 'docs/platforms.md'), platformsPage(rows));
  if (rows.some(({ tried }) => tried.some(({ passed }) => !passed))) process.exitCode = 1;
}
