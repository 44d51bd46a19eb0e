// @ts-check
// Kills processes while they rewrap, and looks at what they leave: `node scripts/crash-test.mjs [kills]`, by default 500 at random
// moments, half of them with a sharded model. The tests use the functions (test/rewrap/crash.test.ts). Needs a build.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv, execPath } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { generateKeys, loadFile, recoverFile, saveFile } from '#dist/index.js';
import { padHeader } from '#dist/format/canonical.js';

/** @import { JwkSet } from '#dist/index.js' */

/**
 * @typedef {{ kind: 'loop', path: string, keys: [JwkSet, JwkSet] }
 *   | { kind: 'once', path: string, keys: [JwkSet, JwkSet], death: { step: number, bytes: number } | null }} ChildTask
 * @typedef {{ folder: string, path: string, keys: [JwkSet, JwkSet], files: string[] }} Scene
 * @typedef {'single' | 'tight' | 'sharded'} SceneKind
 */

const child = fileURLToPath(new URL('../test/rewrap/crash-child.mjs', import.meta.url));
const VALUES = Float32Array.from({ length: 300 }, (_, i) => i / 7);
/** @type {[JwkSet, JwkSet]} */
const KEYS = [generateKeys({ encKid: 'a', signKid: 'b' }), generateKeys({ encKid: 'c'.repeat(50), signKid: 'd' })];

/**
 * A model in a folder of its own: a file with room for another header; one without, so that it is replaced; or shards of both kinds.
 *
 * @param {string} parent
 * @param {SceneKind} kind
 * @returns {Promise<Scene>}
 */
export async function makeScene(parent, kind) {
  const folder = await mkdtemp(join(parent, `${kind}-`));
  const [keys] = KEYS;
  /** @type {(name: string, tensor: string, isTight: boolean) => Promise<void>} */
  const write = async (name, tensor, isTight) => {
    const path = join(folder, name);
    const tensors = {
      [tensor]: { shape: [300], data: VALUES },
      [`${tensor}.bias`]: { shape: [3], data: VALUES.slice(0, 3) },
    };
    await saveFile(tensors, path, { keys, durable: false });
    if (isTight) await writeFile(path, withoutRoom(await readFile(path)));
  };
  if (kind !== 'sharded') {
    await write('model.safetensors', 'w', kind === 'tight');
    return { folder, path: join(folder, 'model.safetensors'), keys: KEYS, files: ['model.safetensors'] };
  }
  const shards = ['1.safetensors', '2.safetensors', '3.safetensors'];
  for (const [i, name] of shards.entries()) await write(name, `w${i}`, i === 1);
  const weights = shards.flatMap((name, i) => [
    [`w${i}`, name],
    [`w${i}.bias`, name],
  ]);
  const path = join(folder, 'model.safetensors.index.json');
  await writeFile(path, JSON.stringify({ metadata: {}, weight_map: Object.fromEntries(weights) }));
  return { folder, path, keys: KEYS, files: [...shards, 'model.safetensors.index.json'] };
}

/** @param {Buffer} file */
function withoutRoom(file) {
  const dataStart = 8 + Number(file.readBigUInt64LE(0));
  return Buffer.concat([padHeader(file.subarray(8, dataStart), { align: 8 }), file.subarray(dataStart)]);
}

/**
 * Rewraps once in a process of its own, which dies at a step (before it, or after some bytes of a write). Without a death: the
 * steps that there are.
 *
 * @param {Scene} scene
 * @param {{ step: number, bytes: number } | null} death
 * @returns {Promise<{ name: string, bytes: number }[] | null>} null if it was killed
 */
export async function rewrapOnce({ path, keys }, death) {
  const { said, signal } = await run({ kind: 'once', path, keys, death });
  if (death !== null && signal === 'SIGKILL') return null;
  return /** @type {{ name: string, bytes: number }[]} */ (JSON.parse(said));
}

/**
 * Rewraps to and fro until the process is killed, some milliseconds after it began.
 *
 * @param {Scene} scene
 * @param {number} delay
 */
export async function killAfter({ path, keys }, delay) {
  await run({ kind: 'loop', path, keys }, delay);
}

/**
 * @param {ChildTask} task
 * @param {number} [delay]
 */
async function run(task, delay) {
  const started = spawn(execPath, [child, JSON.stringify(task)], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [said, complaint] = ['', ''];
  started.stdout.setEncoding('utf8').on('data', (text) => (said += text));
  started.stderr.setEncoding('utf8').on('data', (text) => (complaint += text));
  if (delay !== undefined) {
    await Promise.race([once(started.stdout, 'data'), once(started, 'close')]);
    await sleep(delay);
    started.kill('SIGKILL');
  }
  const [code, signal] =
    started.exitCode === null && started.signalCode === null ? await once(started, 'close') : [null, 'SIGKILL'];
  if (signal !== 'SIGKILL' && code !== 0) throw new Error(`the process failed by itself: ${complaint}`);
  return { said, signal: /** @type {string | null} */ (signal) };
}

/**
 * What must be true of whatever a process that was killed left: the model opens with the old keys or with the new ones, all of it,
 * with the right tensors; after recovery with just one of the two, and nothing is left but its files.
 *
 * @param {Scene} scene
 * @param {{ isOnce?: boolean }} [options] whether it was rewrapped once at the most, so that old is old
 * @returns {Promise<{ before: string, recovery: string, after: 'old' | 'new' }>} what it opened with, and what recovery said
 */
export async function inspectScene(scene, { isOnce = true } = {}) {
  const { folder, path, files } = scene;
  const before = await openable(scene);
  if (before === '') throw new Error(`${path} opens with neither the old keys nor the new ones`);
  const recovery = await recoverFile(path);
  const after = await openable(scene);
  if (after !== 'old' && after !== 'new') throw new Error(`${path} opens with "${after}" after recovery`);
  const expected = { nothing: after, undone: 'old', finished: 'new' }[recovery];
  if (isOnce && after !== expected)
    throw new Error(`${path} opens with the ${after} keys, but recovery says: ${recovery}`);
  const found = (await readdir(folder)).sort();
  if (found.join() !== [...files].sort().join()) throw new Error(`left in ${folder}: ${found.join(', ')}`);
  return { before, recovery, after };
}

/** @param {Scene} scene */
async function openable({ path, keys }) {
  const names = [];
  for (const [i, name] of ['old', 'new'].entries()) {
    try {
      const tensors = await loadFile(path, { keys: /** @type {JwkSet} */ (keys[i]) });
      for (const [tensor, { data }] of tensors) {
        const expected = tensor.endsWith('.bias') ? VALUES.slice(0, 3) : VALUES;
        if (Buffer.compare(Buffer.from(bytesOf(data)), Buffer.from(bytesOf(expected))) !== 0)
          throw new TypeError(`${tensor} of ${path} has other values`);
      }
      names.push(name);
    } catch (error) {
      if (/** @type {{ code?: unknown }} */ (error).code !== 'UntrustedSigner') throw error;
    }
  }
  return names.join(' or ');
}

/** @param {{ buffer: ArrayBufferLike, byteOffset: number, byteLength: number }} data */
function bytesOf({ buffer, byteOffset, byteLength }) {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * Kills at random moments, two processes at a time.
 *
 * @param {string} parent folder for the models
 * @param {number} kills
 * @param {SceneKind[]} kinds
 * @returns {Promise<Record<string, number>>} how often recovery said what
 */
export async function killAtRandom(parent, kills, kinds) {
  /** @type {Record<string, number>} */
  const outcomes = {};
  let left = kills;
  await Promise.all(
    [0, 1].map(async () => {
      while (left > 0) {
        const number = left--;
        const kind = /** @type {SceneKind} */ (kinds[number % kinds.length]);
        const scene = await makeScene(parent, kind);
        await killAfter(scene, Math.random() * 40);
        const { recovery } = await inspectScene(scene, { isOnce: false });
        outcomes[recovery] = (outcomes[recovery] ?? 0) + 1;
        await rm(scene.folder, { recursive: true });
      }
    }),
  );
  return outcomes;
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) {
  const kills = Number(argv[2] ?? 500);
  const parent = join(tmpdir(), `cryptotensors-crash-${process.pid}`);
  await mkdir(parent);
  const started = performance.now();
  const outcomes = await killAtRandom(parent, kills, ['single', 'sharded', 'tight']);
  await rm(parent, { recursive: true });
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    `${kills} processes killed at random moments in ${seconds} s; every model opened, none was left with a journal`,
  );
  console.log(`what recovery found: ${JSON.stringify(outcomes)}`);
}
