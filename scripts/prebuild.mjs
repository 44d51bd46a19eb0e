// Builds the addon for every platform that the package brings it for, on one Linux machine, into prebuilds/ (CONTRIBUTING.md).
//
//   node scripts/prebuild.mjs [TARGET ...]           builds and checks; without names, all eight
//   node scripts/prebuild.mjs --check [TARGET ...]   checks what is there
import { join } from 'node:path';
import { build, prebuilds } from './prebuild/build.mjs';
import { check } from './prebuild/check.mjs';
import { fileOf, targetsNamed } from './prebuild/targets.mjs';

const words = process.argv.slice(2);
for (const target of targetsNamed(words.filter((word) => !word.startsWith('--')))) {
  const begin = performance.now();
  const file = words.includes('--check') ? join(prebuilds, fileOf(target)) : await build(target);
  const { bytes, floor, needed } = check(target, file);
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(`${target.name}: ${bytes} bytes, ${floor}, needs ${needed.join(' ') || 'no library'} (${seconds} s)`);
}
