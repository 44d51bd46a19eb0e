/**
 * What a policy costs: opening with one, reading under `allow_tensor`.
 *
 *   node bench/policy.mjs
 *   node bench/policy.mjs --hostile [ROUNDS]     instead: the hostile policies of the tests, cold and warm
 *
 * All competitors take turns, in another order each round; differences are medians of differences within a round.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generateKeys, safeOpen, safeOpenSync, saveFile } from 'cryptotensors';
import { benchHostile } from './hostile.mjs';
import { median } from './statistics.mjs';

const ALLOW = 'package model\nimport rego.v1\ndefault allow := false\nallow if input.claims.customer == "acme"\n';
const PER_TENSOR = `${ALLOW}allow_tensor if not startswith(input.tensor.name, "head.")\n`;
const TENSORS = 1000;

async function timed(work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Milliseconds of each competitor, round by round. */
async function measure(competitors, rounds) {
  const times = Object.fromEntries(Object.keys(competitors).map((name) => [name, []]));
  for (let round = -3; round < rounds; round++) {
    for (const [name, work] of Object.entries(competitors).sort(() => Math.random() - 0.5)) {
      const ms = await timed(work);
      // The first rounds compile the engine and warm everything else up.
      if (round >= 0) times[name].push(ms);
    }
  }
  return times;
}

/** @param {number} rounds */
export async function benchPolicy(rounds) {
  const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-bench-policy-'));
  try {
    const keys = generateKeys();
    const one = Object.fromEntries(
      Array.from({ length: TENSORS }, (_, i) => [`layer.${i}`, { shape: [4], data: new Float32Array(4) }]),
    );
    const files = {};
    for (const [name, local] of Object.entries({ byDefault: undefined, allow: ALLOW, perTensor: PER_TENSOR })) {
      files[name] = join(folder, name);
      await saveFile(one, files[name], { keys, ...(local === undefined ? {} : { policy: { local } }) });
    }
    const options = { keys, claims: { customer: 'acme' } };
    const opening =
      (name, more = {}) =>
      async () =>
        (await safeOpen(files[name], { ...options, ...more })).close();
    const readAll = (name) => async () => {
      const model = await safeOpen(files[name], options);
      const ms = await timed(() => model.getTensors());
      await model.close();
      return ms;
    };
    const times = await measure(
      {
        'open, default policy': opening('byDefault'),
        // An evaluator that only answers: what is left is what any policy costs.
        'open, default policy, answered by a function': opening('byDefault', { policy: { evaluate: () => true } }),
        'open, policy': opening('allow'),
        'open, policy, Sync': () => safeOpenSync(files.allow, options)[Symbol.dispose](),
        'open, default policy, Sync': () => safeOpenSync(files.byDefault, options)[Symbol.dispose](),
        [`open and read ${TENSORS} tensors, policy`]: readAll('allow'),
        [`open and read ${TENSORS} tensors, allow_tensor`]: readAll('perTensor'),
      },
      rounds,
    );
    const difference = (name, baseline) => median(times[name].map((ms, round) => ms - times[baseline][round]));
    const rows = [
      ['policy, when opening', difference('open, policy', 'open, default policy')],
      ['policy, when opening, Sync', difference('open, policy, Sync', 'open, default policy, Sync')],
      [
        'default policy, against a function that answers true',
        difference('open, default policy', 'open, default policy, answered by a function'),
      ],
      [
        `allow_tensor, for ${TENSORS} tensors`,
        difference(`open and read ${TENSORS} tensors, allow_tensor`, `open and read ${TENSORS} tensors, policy`),
      ],
    ].map(([name, ms]) => ({ name, ms }));
    const title = `What a policy adds (ms, medians of ${rounds} differences; ${TENSORS} tensors, engine warm)`;
    console.log(`\n${title}`);
    for (const { name, ms } of rows) console.log(`  ${name.padEnd(54)} ${ms.toFixed(3).padStart(9)} ms`);
    return { title, added: rows, times };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [mode, rounds = '2'] = process.argv.slice(2);
  if (mode === '--hostile') benchHostile(Number(rounds));
  else await benchPolicy(200);
}
