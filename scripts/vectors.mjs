// Runs the vectors through the built package in whichever runtime runs this: node, bun or deno run -A scripts/vectors.mjs [LIBRARY].
// CRYPTOTENSORS_ENGINE chooses the engine.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const { engineInfo, load, loadSync, safeOpen, verifyFile } = await import(process.argv[2] ?? '../dist/index.js');

const VECTORS = join(import.meta.dirname, '../test/vectors');
/** Of which the signer's identity is what is wrong. */
const WRONG_SIGNER = ['keys-other-kids', 'attacker-jku'];

delete process.env.CRYPTOTENSOR_KEYS;
const wrong = [];
const counts = { valid: 0, bad: 0 };
for (const vector of read('vectors.json').vectors) {
  await attempt(vector, runValid);
  counts.valid++;
}
for (const vector of read('bad.json').bad) {
  await attempt(vector, runBad);
  counts.bad++;
}
for (const problem of wrong) console.log(problem);
console.log(`${engineInfo().engine}: ${counts.valid} valid and ${counts.bad} bad files, ${wrong.length} answers wrong`);
process.exit(wrong.length > 0 || counts.valid === 0 ? 1 : 0);

function read(file) {
  return JSON.parse(readFileSync(join(VECTORS, file), 'utf8'));
}

async function attempt(vector, run) {
  try {
    const problem = await run(vector, join(VECTORS, vector.file), optionsOf(vector));
    if (problem !== null) wrong.push(`${vector.file}: ${problem}`);
  } catch (error) {
    wrong.push(`${vector.file}: ${error}`);
  }
}

function optionsOf({ keys }) {
  if (keys === null) return {};
  const options = { keys: join(VECTORS, keys.file) };
  if (typeof keys.enc === 'string') options.encKid = keys.enc;
  if (typeof keys.sign === 'string') options.signKid = keys.sign;
  return options;
}

async function runValid(vector, path, options) {
  if (vector.reference_refuses !== undefined && vector.category === 'policies') {
    if (!['PolicyDenied', 'PolicyError'].includes(await codeOf(() => verifyFile(path, options)))) {
      return 'the policy does not refuse';
    }
    options.policy = { evaluate: () => true };
  }
  const expected = Object.fromEntries(vector.expected.tensors.map(({ name, sha256 }) => [name, sha256]));
  const file = await safeOpen(path, options);
  const lazily = await file.getTensors();
  await file.close();
  for (const tensors of [lazily, await load(readFileSync(path), options), loadSync(readFileSync(path), options)]) {
    if (!isSame(digests(tensors), expected)) return 'other tensors';
  }
  return null;
}

async function runBad({ expected, also_acceptable: also = [], kind, stage, readable }, path, options) {
  const right = [expected.code ?? 'accept', ...also, ...(WRONG_SIGNER.includes(kind) ? ['UntrustedSigner'] : [])];
  const answers = [await codeOf(() => load(readFileSync(path), options))];
  answers.push(await codeOf(() => loadSync(readFileSync(path), options)));
  const wrongly = answers.find((answer) => !right.includes(answer));
  if (wrongly !== undefined) return `${wrongly} instead of ${right.join(' or ')}`;
  if (stage !== 'read') return null;
  const file = await safeOpen(path, options);
  const whole = await file.getTensors({ names: Object.keys(readable) });
  await file.close();
  return isSame(digests(whole), readable) ? null : 'what is readable reads otherwise';
}

async function codeOf(work) {
  try {
    await work();
    return 'accept';
  } catch (error) {
    return error.code ?? String(error);
  }
}

function digests(tensors) {
  return Object.fromEntries(
    [...tensors].map(([name, { bytes }]) => [name, createHash('sha256').update(bytes).digest('hex')]),
  );
}

function isSame(a, b) {
  const names = Object.keys(b);
  return names.length === Object.keys(a).length && names.every((name) => a[name] === b[name]);
}
