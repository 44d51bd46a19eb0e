import { formatBytes } from './statistics.mjs';

const ROW = 26;
const LABEL = 330;
const WIDTH = 960;

/**
 * A bar chart of medians, with the quartiles as whiskers, as SVG text.
 *
 * @param {{ title: string, baseline: string, rows: readonly { name: string, ms: { median: number, low: number, high: number }, ratio: { median: number }, peakBytes: number }[] }} result
 */
export function chart({ title, rows }) {
  const longest = Math.max(...rows.map(({ ms }) => ms.high));
  const x = (/** @type {number} */ ms) => LABEL + (ms / longest) * (WIDTH - LABEL - 150);
  const bars = rows.map(({ name, ms, ratio, peakBytes }, i) => {
    const y = 44 + i * ROW;
    const own = name.startsWith('this library');
    return [
      `<text x="${LABEL - 8}" y="${y + 13}" text-anchor="end">${escape(name)}</text>`,
      `<rect x="${LABEL}" y="${y}" width="${(x(ms.median) - LABEL).toFixed(1)}" height="18" fill="${own ? '#2563eb' : '#94a3b8'}"/>`,
      `<line x1="${x(ms.low).toFixed(1)}" x2="${x(ms.high).toFixed(1)}" y1="${y + 9}" y2="${y + 9}" stroke="#0f172a" stroke-width="2"/>`,
      `<text x="${(x(ms.high) + 8).toFixed(1)}" y="${y + 13}">× ${ratio.median.toFixed(2)}<title>peak +${formatBytes(peakBytes)}</title></text>`,
    ].join('');
  });
  const height = 60 + rows.length * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="13" fill="#0f172a">
<rect width="${WIDTH}" height="${height}" fill="#fff"/>
<text x="16" y="26" font-size="16" font-weight="600">${escape(title)}: time, as a ratio to “${escape(rows[0]?.name ?? '')}”</text>
${bars.join('\n')}
</svg>
`;
}

function escape(/** @type {string} */ text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
