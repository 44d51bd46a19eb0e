// @ts-check
// A Python virtual environment with the reference implementation, for the interoperation tests and the benchmarks.
// As a command it prints the path of its interpreter: `node scripts/python-env.mjs`.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { argv, env, pid, platform } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const requirements = join(root, 'test', 'interop', 'requirements.txt');
const folder = join(root, '.venv');

/** Proves that an environment is whole: what it is for can be imported. */
const PROBE = 'import cryptotensors.numpy, safetensors.numpy, cryptography, blake3';

/**
 * The interpreter of a virtual environment that holds `test/interop/requirements.txt`. It is made on the first call, which
 * needs the network, and found again by a hash of that file.
 *
 * @returns {Promise<string>} path of the interpreter
 * @throws {Error} that says what is missing and what to do about it
 */
export async function ensurePythonEnv() {
  const hash = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex');
  const target = join(folder, hash.slice(0, 16));
  if (await works(interpreterOf(target))) return interpreterOf(target);
  await rm(target, { recursive: true, force: true });
  await make(target);
  await removeOthers(target);
  return interpreterOf(target);
}

/** Made under another name and then renamed, so that two processes at once cannot see or make half of it. */
async function make(/** @type {string} */ target) {
  const temporary = `${target}.${pid}.tmp`;
  try {
    await mkdir(folder, { recursive: true });
    await createEnvironment(temporary);
    await install(interpreterOf(temporary));
    await rename(temporary, target);
  } catch (error) {
    // Another process may have been faster; then its environment serves as well.
    if (!(await works(interpreterOf(target)))) throw error;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function createEnvironment(/** @type {string} */ path) {
  const python = env['CRYPTOTENSORS_PYTHON'] ?? (platform === 'win32' ? 'python' : 'python3');
  try {
    await run(python, ['-c', 'import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] <= (3, 13) else 1)']);
    await run(python, ['-m', 'venv', path]);
  } catch (cause) {
    throw new Error(
      `The interoperation tests need Python 3.10 to 3.13 with its venv module, but \`${python}\` does not serve: ${reason(cause)}\n` +
        'Install it (Debian: apt-get install python3 python3-venv), or name another one in CRYPTOTENSORS_PYTHON.',
      { cause },
    );
  }
}

async function install(/** @type {string} */ interpreter) {
  try {
    await run(interpreter, [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '--requirement',
      requirements,
    ]);
    await run(interpreter, ['-c', PROBE]);
  } catch (cause) {
    throw new Error(
      `The interoperation tests need the packages of test/interop/requirements.txt, but pip could not install them: ${reason(cause)}\n` +
        'Connect to the network for the first run, or point pip at a mirror (PIP_INDEX_URL); afterwards .venv/ is used again.',
      { cause },
    );
  }
}

async function works(/** @type {string} */ interpreter) {
  try {
    await run(interpreter, ['-c', PROBE]);
    return true;
  } catch {
    return false;
  }
}

/** Environments of earlier requirements. Those that another process is making are left alone. */
async function removeOthers(/** @type {string} */ target) {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (path !== target && !name.endsWith('.tmp')) await rm(path, { recursive: true, force: true });
  }
}

function interpreterOf(/** @type {string} */ environment) {
  return platform === 'win32' ? join(environment, 'Scripts', 'python.exe') : join(environment, 'bin', 'python');
}

/** The last lines of what a command said, or why it could not be started. */
function reason(/** @type {unknown} */ error) {
  const { stderr, message } = /** @type {{ stderr?: string, message: string }} */ (error);
  const said = (stderr ?? '').trim().split('\n').slice(-3).join('\n');
  return said === '' ? message : said;
}

if (argv[1] !== undefined && import.meta.url === pathToFileURL(argv[1]).href) {
  try {
    console.log(await ensurePythonEnv());
  } catch (error) {
    console.error(/** @type {Error} */ (error).message);
    process.exitCode = 1;
  }
}
