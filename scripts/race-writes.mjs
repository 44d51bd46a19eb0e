// Runs every operation that creates or replaces a file as root, in a folder of another user's who races it: he puts links in the
// place of temporary files, of the target and of the folder, as fast as he can. Nothing outside his folder may change.
//
//   node scripts/race-writes.mjs [--tries 10000] [--only save,rewrap]
//
// Needs root, and Linux or macOS. Works in a temporary folder of its own; the attacker is a child process with another user id.
import { createHash } from 'node:crypto';
import { fork } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import * as ct from '../dist/index.js';
import { writeKeyFiles, writeWhole } from '../dist/cli/files.js';

export const NOBODY = 65534;
/** In which the attacker attacks both as fast as it goes and with rests. */
const ROUND_MS = 1000;
const ATTACKER = fileURLToPath(new URL('race-writes-attacker.mjs', import.meta.url));

/** What is done in the attacker's folder: to `target`, or to the `model` in it. Each takes the number of the try. */
const OPERATIONS = {
  save: ({ target }) => ct.saveFile({ w: { shape: [64], data: new Float32Array(64) } }, target, { durable: false }),
  encrypt: ({ plain, target, keys }) => ct.encryptFile(plain, target, { keys, durable: false }),
  decrypt: ({ sealed, target, keys }) => ct.decryptFile(sealed, target, { keys, durable: false }),
  detach: ({ sealed, target }) => ct.detachHeader(sealed, target, { durable: false }),
  attach: ({ sealed, header, target }) => ct.attachHeader(sealed, header, target, { durable: false }),
  license: ({ license, target }) => writeWhole(target, license),
  keygen: ({ folder }, i) => writeKeyFiles([{ path: join(folder, `key-${i}`), mode: 0o600, text: 'secret' }]),
  'rewrap-copy': ({ sealed, target, keys, keys2 }) =>
    ct.rewrapFile(sealed, { keys, to: { keys: keys2 }, target, durable: false }),
  // What fits is overwritten where it stands, what does not is replaced by a copy: a policy that grows makes both.
  rewrap: ({ model, keys }, i) =>
    ct.rewrapFile(model, {
      keys,
      to: { keys, policy: { local: `package model\nallow = true\n#${'x'.repeat(i % 2 === 0 ? 8 : 9000)}` } },
      durable: false,
    }),
};

export const OPERATION_NAMES = Object.keys(OPERATIONS);

/** Everything outside the attacker's folder, as text that differs when anything of it does; times of reading aside. */
function snapshot(folder, except) {
  const lines = [];
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (path === except) continue;
    const status = lstatSync(path, { bigint: true });
    const facts = `${path} ${status.mode.toString(8)} ${status.uid}:${status.gid} ${status.nlink} ${status.ino}`;
    if (status.isDirectory()) lines.push(`${facts} ${status.mtimeNs}`, ...snapshot(path, except));
    else if (status.isSymbolicLink()) lines.push(`${facts} ${readlinkSync(path)}`);
    else lines.push(`${facts} ${status.mtimeNs} ${status.ctimeNs} ${digest(path)}`);
  }
  return lines;
}

function digest(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

async function makeScene() {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'race-writes-')));
  chmodSync(root, 0o755);
  const [safe, victims, theirs] = ['safe', 'victims', 'theirs'].map((name) => join(root, name));
  for (const folder of [safe, victims, theirs]) mkdirSync(folder, { mode: 0o755 });
  const folder = join(theirs, 'folder');
  mkdirSync(folder);
  const keys = ct.generateKeys();
  const scene = {
    root, theirs, victims, folder, keys,
    keys2: ct.generateKeys(),
    plain: join(safe, 'plain'),
    sealed: join(safe, 'sealed'),
    header: join(safe, 'header'),
    target: join(folder, 'target'),
    model: join(folder, 'model.ct'),
    license: new Uint8Array(5000).fill(1),
  }; // prettier-ignore
  await ct.saveFile({ w: { shape: [64], data: new Float32Array(64).fill(1) } }, scene.plain);
  await ct.encryptFile(scene.plain, scene.sealed, { keys });
  await ct.detachHeader(scene.sealed, scene.header);
  for (const name of ['target', 'victim', '.hidden'])
    writeFileSync(join(victims, name), `${name} of root's`, { mode: 0o600 });
  copyFileSync(scene.sealed, join(victims, 'model.ct'));
  chmodSync(join(victims, 'model.ct'), 0o600);
  for (const path of [theirs, folder]) chownSync(path, NOBODY, NOBODY);
  return scene;
}

async function startAttacker(scene) {
  const child = fork(ATTACKER, [JSON.stringify({ id: NOBODY, theirs: scene.theirs, folder: scene.folder, victims: scene.victims, sealed: scene.sealed })], { stdio: 'inherit' }); // prettier-ignore
  await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', (code) => reject(new Error(`the attacker ended with ${code}`)));
  });
  return child;
}

/**
 * @returns {Promise<{ tries: number; succeeded: number; refused: Record<string, number>; changed: string[]; attacks: number }>}
 * what became of the tries, and what of the outside changed: nothing
 */
export async function race(operation, tries) {
  const scene = await makeScene();
  const before = snapshot(scene.root, scene.theirs);
  const attacker = await startAttacker(scene);
  const started = Date.now();
  const outcome = { tries: 0, succeeded: 0, refused: {}, changed: [], attacks: 0 };
  try {
    // However fast the tries are, the attacker comes round to each of his ways.
    const isEnough = () => outcome.tries >= tries && Date.now() - started >= ROUND_MS;
    while (!isEnough() && outcome.changed.length === 0) {
      try {
        await OPERATIONS[operation](scene, outcome.tries);
        outcome.succeeded++;
      } catch (error) {
        const kind = error.systemCode ?? error.code ?? error.message;
        outcome.refused[kind] = (outcome.refused[kind] ?? 0) + 1;
      }
      outcome.tries++;
      if (outcome.tries % 50 !== 0 && !isEnough()) continue;
      const now = snapshot(scene.root, scene.theirs);
      outcome.changed = now
        .filter((line) => !before.includes(line))
        .concat(before.filter((line) => !now.includes(line)));
    }
    outcome.attacks = await new Promise((resolve) => {
      attacker.once('message', resolve);
      attacker.kill('SIGTERM');
    });
    return outcome;
  } finally {
    attacker.kill('SIGKILL');
    rmSync(scene.root, { recursive: true, force: true });
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { tries: { type: 'string', default: '10000' }, only: { type: 'string' } } });
  if (process.getuid?.() !== 0) throw new Error('needs root: there is nothing to gain from a user without rights');
  process.removeAllListeners('warning');
  for (const operation of values.only?.split(',') ?? OPERATION_NAMES) {
    const started = Date.now();
    const { changed, ...counts } = await race(operation, Number(values.tries));
    console.log(`${operation}: ${JSON.stringify(counts)} in ${((Date.now() - started) / 1000).toFixed(0)} s`);
    if (changed.length === 0) continue;
    console.log(`  CHANGED OUTSIDE:\n${changed.join('\n')}`);
    process.exitCode = 1;
  }
}
