/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Median with the quartiles around it: what a noisy machine allows to say.
 *
 * @param {readonly number[]} values
 */
export function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (/** @type {number} */ fraction) =>
    sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))];
  return { median: median(values), low: at(0.25), high: at(0.75), runs: values.length };
}

/**
 * The ratio of two competitors, from pairs measured in the same round, so that a machine that slows down slows both.
 *
 * @param {readonly number[]} values
 * @param {readonly number[]} baseline
 */
export function pairedRatio(values, baseline) {
  return summary(values.map((value, round) => value / baseline[round]));
}

/** `1.5 GiB`, `64 MiB` … @param {number} bytes */
export function formatBytes(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(1))} ${units[unit]}`;
}
