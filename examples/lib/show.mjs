/** How the examples put things on the screen. */

/** @param {string} text */
export function heading(text) {
  console.log(`\n${text}`);
}

/**
 * A label and what belongs to it, which goes on under itself where it is long.
 *
 * @param {string} label
 * @param {string} text
 */
export function row(label, text) {
  const [first, ...rest] = wrap(text, 84);
  console.log(`   ${label.padEnd(13)} ${first}`);
  for (const line of rest) console.log(' '.repeat(17) + line);
}

/** @param {string} text @param {number} width */
function wrap(text, width) {
  const lines = [''];
  for (const word of text.split(' ')) {
    if (lines.at(-1).length + word.length + 1 > width) lines.push('');
    lines[lines.length - 1] += `${lines.at(-1) === '' ? '' : ' '}${word}`;
  }
  return lines;
}

/** @param {number} bytes */
export function megabytes(bytes) {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** @param {readonly number[]} numbers */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Milliseconds that something took.
 *
 * @param {() => Promise<unknown>} work
 */
export async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
