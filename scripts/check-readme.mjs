// @ts-check
// Does the README show what the quick start prints? Compares the two without what differs from run to run: numbers, key ids
// and where the model came from.
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);

/** What is the same in every run, one entry per heading or row. */
function skeleton(/** @type {string} */ output) {
  return output
    .replace(/\n {5,}/g, ' ') // a row that goes on
    .split('\n')
    .map((line) => line.trim().replace(/\s+/g, ' '))
    .filter((line) => line !== '' && !/^(downloading|model) /.test(line))
    .map((line) => line.replace(/"?[A-Za-z0-9_-]{43}"?/g, 'KID').replace(/-?\d+(\.\d+)?/g, '#'));
}

function shown(/** @type {string} */ readme) {
  const block = /<!-- quickstart:.*-->\n```text\n([^]*?)\n```/.exec(readme);
  if (block?.[1] === undefined)
    throw new Error('README.md has no block of quick start output behind a <!-- quickstart: --> mark');
  return block[1];
}

const readme = await readFile(`${root}README.md`, 'utf8');
// Offline: what is compared does not depend on the model's weights.
const { stdout } = await run(process.execPath, ['examples/quickstart.mjs', '--offline'], { cwd: root });
const expected = skeleton(shown(readme));
const found = skeleton(stdout);
const at = expected.findIndex((line, i) => line !== found[i]);
if (at < 0 && expected.length === found.length) {
  console.log(`README.md shows what the quick start prints (${found.length} lines)`);
} else {
  const line = at < 0 ? expected.length : at;
  console.error(
    `README.md does not show what the quick start prints. Line ${line + 1} of it, without numbers:\n` +
      `  README.md:   ${expected[line] ?? '(nothing)'}\n  quick start: ${found[line] ?? '(nothing)'}\n` +
      'Run: node examples/quickstart.mjs, and copy its output there.',
  );
  process.exitCode = 1;
}
