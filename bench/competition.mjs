/** Competitors against each other: first do they agree, then how long do they take. */
import { formatBytes, pairedRatio, summary } from './statistics.mjs';

/**
 * @typedef {object} Competitor
 * @property {string} name
 * @property {string} child which process it runs in
 * @property {Record<string, unknown>} request
 * @property {boolean} [disagrees] its output is another file, so there is no digest to compare
 */

/**
 * @typedef {object} Conditions
 * @property {number} rounds
 * @property {number} [touch] bytes of memory that each needs; twice as many are touched before
 * @property {() => Promise<void>} [before] done before each measurement, unmeasured
 */

export class Competition {
  #children;
  #only;

  /**
   * @param {Record<string, import('./child.mjs').Child>} children
   * @param {RegExp | null} only names of the competitors to run
   */
  constructor(children, only) {
    this.#children = children;
    this.#only = only;
  }

  /**
   * Checks that all agree, then measures in turn. The first competitor is what the others are compared with.
   *
   * @param {string} title
   * @param {readonly Competitor[]} all
   * @param {Conditions} conditions
   */
  async run(title, all, { rounds, touch = 0, before }) {
    const competitors = all.filter(({ name }) => this.#only?.test(name) !== false);
    if (competitors.length === 0) return null;
    const agreed = await this.#checkAgreement(title, competitors);
    // Once more, unmeasured: caches, just-in-time compilers and the memory of the machine are warm then.
    for (const { child, request } of competitors) await this.#children[child].ask(request);

    const times = new Map(competitors.map(({ name }) => [name, []]));
    const peaks = new Map();
    for (let round = 0; round < rounds; round++) {
      // Another order each round: nobody always follows the same neighbour.
      for (const { name, child, request } of shuffled(competitors)) {
        await before?.();
        const process = this.#children[child];
        if (touch > 0) await process.ask({ do: 'touch', bytes: 2 * touch });
        process.resetPeak();
        const { now } = process.memory();
        const { ms } = await process.ask(request);
        times.get(name).push(ms);
        peaks.set(name, Math.max(peaks.get(name) ?? 0, process.memory().peak - now));
      }
    }
    const baseline = times.get(competitors[0].name);
    const rows = competitors.map(({ name }) => ({
      name,
      ms: summary(times.get(name)),
      ratio: pairedRatio(times.get(name), baseline),
      times: times.get(name),
      peakBytes: peaks.get(name),
    }));
    print(title, rows);
    return { title, baseline: competitors[0].name, agreed, rows };
  }

  /** @param {string} title @param {readonly Competitor[]} competitors */
  async #checkAgreement(title, competitors) {
    const digests = new Map();
    for (const { name, child, request, disagrees } of competitors) {
      const { digest } = await this.#children[child].ask({ ...request, digest: !disagrees });
      if (!disagrees) digests.set(name, digest);
    }
    if (new Set(digests.values()).size > 1) {
      const list = [...digests].map(([name, digest]) => `${digest} ${name}`).join('\n');
      throw new Error(`${title}: the competitors do not agree:\n${list}`);
    }
    return digests.size;
  }
}

/** @template Item @param {readonly Item[]} items */
function shuffled(items) {
  return items
    .map((item) => ({ item, key: Math.random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}

function print(title, rows) {
  const width = Math.max(...rows.map(({ name }) => name.length));
  console.log(`\n${title}`);
  for (const { name, ms, ratio, peakBytes } of rows) {
    const range = `${ms.low.toFixed(1)}-${ms.high.toFixed(1)}`;
    console.log(
      `  ${name.padEnd(width)}  ${ms.median.toFixed(1).padStart(9)} ms  ${range.padStart(17)}  x ${ratio.median.toFixed(2).padStart(6)}  peak +${formatBytes(peakBytes)}`,
    );
  }
}
