/** What was promised (docs/benchmarks.md), held against what was measured. */
import { formatBytes, pairedRatio } from './statistics.mjs';

/** Of a comparison: a competitor's times as a ratio to another's, by the beginning of its title. */
const ratio = (what, limit, title, name, against) => ({ what, limit, title, name, against });

const BUDGETS = [
  ratio('loadFile of 1 GiB, encrypted, against fs.readSync of as many plain bytes', 0.28, 'Load 1 GiB', 'this library, encrypted', 'fs.readSync, plain, fresh Buffer'),
  ratio('the same with OpenSSL alone', 0.42, 'Load 1 GiB', 'this library, encrypted, openssl', 'fs.readSync, plain, fresh Buffer'),
  ratio('the same into recycled memory', 0.22, 'Load 1 GiB', 'this library, encrypted, memory recycled', 'fs.readSync, plain, fresh Buffer'),
  ratio("against the reference's load_file of the same file", 0.45, 'Load 1 GiB', 'this library, encrypted', 'reference (Python), encrypted'),
  ratio('against safetensors for Python, plain', 0.33, 'Load 1 GiB', 'this library, encrypted', 'safetensors (Python), plain'),
  ratio('against a native plain read into huge pages', 1.8, 'Load 1 GiB', 'this library, encrypted', 'this library, plain (pread into huge pages)'),
  ratio('the same, both into recycled memory', 1.8, 'Load 1 GiB', 'this library, encrypted, memory recycled', 'this library, plain, memory recycled'),
  ratio('one thread, against fs.readSync', 0.55, 'Load 1 GiB', 'this library, encrypted, 1 thread', 'fs.readSync, plain, fresh Buffer'),
  ratio('128 rows of a 16 MiB tensor, against the reference', 0.2, 'Read 128 rows', 'this library', 'reference (Python)'),
  ratio("encryptFile without fsync, against the reference's save_file", 0.15, 'Encrypt 1 GiB', 'this library, encryptFile, without fsync as the others', 'reference (Python), save_file from memory'),
  ratio('encryptFile without fsync, against cp', 0.9, 'Encrypt 1 GiB', 'this library, encryptFile, without fsync as the others', 'cp (coreutils)'),
  ratio('opening 100,000 encrypted tensors and reading one, against the reference', 0.8, 'Open 100000', 'this library', 'reference (Python)'),
]; // prettier-ignore

/** @param {readonly any[]} results */
export function checkBudgets(results) {
  const lines = [];
  for (const { what, limit, title, name, against } of BUDGETS) {
    const found = results.find((result) => result.rows !== undefined && result.title.startsWith(title));
    const times = (wanted) => found?.rows.find((row) => row.name === wanted)?.times;
    if (times(name) === undefined || times(against) === undefined) continue;
    const { median, low, high } = pairedRatio(times(name), times(against));
    lines.push({
      what,
      budget: `≤ ${limit}`,
      measured: `${median.toFixed(2)} [${low.toFixed(2)}–${high.toFixed(2)}]`,
      met: median <= limit,
    });
  }
  for (const { delay } of results.filter((result) => result.delay !== undefined)) {
    const beyond = (field) => delay.loading[field].median - delay.idle[field].median;
    lines.push({
      what: 'delay of the event loop during a 1 GiB load, beyond idle: p99 / worst',
      budget: '≤ 3 / ≤ 20 ms',
      measured: `${beyond('p99').toFixed(1)} / ${beyond('max').toFixed(1)} ms`,
      met: beyond('p99') <= 3 && beyond('max') <= 20,
    });
  }
  for (const { title, peaks } of results.filter((result) => result.peaks !== undefined)) {
    for (const { name, peakBytes } of peaks) {
      const limit = name === 'encryptFile' ? 64 : 16;
      lines.push({
        what: `${title.toLowerCase()}: ${name}`,
        budget: `≤ ${limit} MiB`,
        measured: peakBytes < 0 ? 'none' : formatBytes(peakBytes),
        met: peakBytes <= limit * 2 ** 20,
      });
    }
  }
  return lines;
}

/** As a table for docs/benchmarks.md. */
export function budgetTable(lines) {
  const rows = lines.map(
    ({ what, budget, measured, met }) => `| ${what} | ${budget} | ${measured} | ${met ? 'yes' : 'no'} |`,
  );
  return ['| what | budget | measured | met |', '|---|---|---|---|', ...rows].join('\n');
}
