/**
 * Shows that the tests of test/attacks can fail: takes out one guard at a time, in a copy of the project, and runs the test
 * that is named after the weakness. It has to fail then.
 *
 *   node scripts/remove-guards.mjs            all of them (some minutes: those in C++ are built anew)
 *   node scripts/remove-guards.mjs jku rego   those whose weakness matches a word
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GUARDS } from './guards.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const words = process.argv.slice(2);
const wanted = GUARDS.filter(({ weakness }) => words.length === 0 || words.some((word) => weakness.includes(word)));

const copy = mkdtempSync(join(tmpdir(), 'cryptotensors-guards-'));
let failures = 0;
try {
  for (const item of ['src', 'native', 'test', 'scripts', 'build', 'dist', 'package.json', 'tsconfig.json', 'binding.gyp', 'vitest.config.ts']) {
    cpSync(join(root, item), join(copy, item), { recursive: true });
  } // prettier-ignore
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  for (const { tests } of wanted) expectTests(tests, true, 'with all guards in place');
  for (const guard of wanted) removeOne(guard);
} finally {
  rmSync(copy, { recursive: true, force: true });
}
console.log(failures === 0 ? `\nAll ${wanted.length} guards are missed by their tests.` : `\n${failures} problems`);
process.exitCode = failures === 0 ? 0 : 1;

function removeOne({ weakness, file, guard, without, tests }) {
  const path = join(copy, file);
  const text = readFileSync(path, 'utf8');
  const places = text.split(guard).length - 1;
  if (places !== 1) {
    console.log(`PROBLEM  ${weakness}: ${file} holds the guard ${places} times, not once`);
    failures++;
    return;
  }
  writeFileSync(
    path,
    text.replace(guard, () => without),
  );
  build(file);
  expectTests(tests, false, `${weakness}: without its guard in ${file}`);
  writeFileSync(path, text);
  build(file);
}

/** Only what the change needs. */
function build(file) {
  const script = file.startsWith('native/') ? 'build:native' : 'build:ts';
  execFileSync('npm', ['run', '--silent', script], { cwd: copy, stdio: ['ignore', 'ignore', 'inherit'] });
}

function expectTests([file, name], pass, what) {
  const { status, stdout } = spawnSync('npx', ['vitest', 'run', file, '-t', name], {
    cwd: copy,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  });
  const ran = /Tests .*(passed|failed)/.test(stdout);
  const right = ran && (status === 0) === pass;
  if (!right) failures++;
  console.log(
    `${right ? 'ok      ' : 'PROBLEM '} ${what}: "${name}" ${ran ? (status === 0 ? 'passes' : 'fails') : 'did not run'}`,
  );
}
