// Tries the packed tarball as users do: package managers, runtimes, bundlers, test runners; each with and without the addon. No compiler
// is on the PATH.
//
//   node scripts/matrix.mjs                the whole matrix; writes docs/bundlers.md
//   node scripts/matrix.mjs --quick        the short form that CI runs with every change
//   node scripts/matrix.mjs NAME ...       cells whose name has one of the words
//
// A cell passes if the program opens an encrypted file with a policy, on the native engine where the package has its addon, and else on
// the portable one with a notice on standard error. It writes nothing unless the whole matrix ran.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cells } from './matrix/cells.mjs';
import { Kit, root } from './matrix/kit.mjs';
import { bundlersPage } from './matrix/page.mjs';

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const quick = process.argv.includes('--quick');
const chosen = cells.filter(
  (cell) =>
    (!quick || cell.quick) &&
    (words.length === 0 || words.some((word) => cell.name.toLowerCase().includes(word.toLowerCase()))),
);

function judge(cell, addons, { status, out }) {
  const [, engine, sum] = /MATRIX (\w+) (\d+)/.exec(out) ?? [];
  if (status !== 0 || sum !== '10') return { passed: false, words: firstFault(out), out };
  const warned = out.includes('CRYPTOTENSORS_FALLBACK');
  if (engine === 'native') return { passed: addons && !warned && cell.refusal === undefined, words: 'native', out };
  // The vectors are told by the engine's name; the notice is on the same stream.
  if (!warned) return { passed: false, words: 'portable, and says nothing', out };
  if (!addons) return { passed: true, words: 'portable, says so', out };
  const remedy = cell.refusal !== undefined && out.includes(cell.refusal);
  return {
    passed: remedy,
    words: remedy ? 'portable, names the remedy' : 'portable, although the addon is there',
    out,
  };
}

function firstFault(out) {
  return (
    out
      .split('\n')
      .find((line) => /error|cannot|not found/i.test(line))
      ?.trim()
      .slice(0, 200) ?? 'says nothing'
  );
}

const kit = new Kit();
const outcomes = [];
let failed = 0;
try {
  for (const cell of chosen) {
    const row = { cell };
    for (const addons of [true, false]) {
      const begin = performance.now();
      let verdict;
      try {
        verdict = judge(cell, addons, cell.run(kit, addons));
      } catch (error) {
        verdict = { passed: false, words: firstFault(error.message), out: error.message };
      }
      row[addons ? 'with' : 'without'] = verdict;
      const seconds = ((performance.now() - begin) / 1000).toFixed(0);
      console.log(
        `${verdict.passed ? 'ok  ' : 'FAIL'} ${cell.group}: ${cell.name}, ${addons ? 'with' : 'without'} addon: ${verdict.words} (${seconds} s)`,
      );
      if (verdict.passed) continue;
      failed++;
      console.log(verdict.out.slice(-3000).replace(/^/gm, '     | '));
    }
    outcomes.push(row);
  }
} finally {
  kit.dispose();
}
if (!quick && words.length === 0) writeFileSync(join(root, 'docs/bundlers.md'), bundlersPage(outcomes));
console.log(`${outcomes.length} cells, ${failed} failures`);
process.exitCode = failed > 0 || outcomes.length === 0 ? 1 : 0;
