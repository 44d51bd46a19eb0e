// @ts-check
// Python virtual environments for tests and benchmarks: `interop` with the reference implementation, `kms` with a stand-in for
// AWS KMS. As a command it prints the path of an interpreter: `node scripts/python-env.mjs [interop|kms]`.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { argv, env, pid, platform } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = join(root, '.venv');

/**
 * What an environment is: its requirements, who needs it, and what proves that it is whole: what it is for can be imported.
 *
 * @typedef {{ requirements: string, purpose: string, probe: string }} Environment
 */

/** @type {Record<'interop' | 'kms', Environment>} */
const ENVIRONMENTS = {
  interop: {
    requirements: 'test/interop/requirements.txt',
    purpose: 'The interoperation tests need',
    probe: 'import cryptotensors.numpy, safetensors.numpy, cryptography, blake3',
  },
  kms: {
    requirements: 'test/keys/kms-requirements.txt',
    purpose: 'The tests of AWS KMS need',
    probe: 'import moto.server, moto.kms, flask_cors',
  },
};

/**
 * The interpreter of a virtual environment. It is made on the first call, which needs the network, and found again by a hash
 * of its requirements.
 *
 * @param {'interop' | 'kms'} name
 * @returns {Promise<string>} path of the interpreter
 * @throws {Error} that says what is missing and what to do about it
 */
export async function ensurePythonEnv(name = 'interop') {
  const environment = ENVIRONMENTS[name];
  const hash = createHash('sha256')
    .update(await readFile(join(root, environment.requirements)))
    .digest('hex');
  const target = join(folder, `${name}-${hash.slice(0, 16)}`);
  if (await works(interpreterOf(target), environment)) return interpreterOf(target);
  await rm(target, { recursive: true, force: true });
  await make(target, environment);
  await removeOthers(name, target);
  return interpreterOf(target);
}

/** Made under another name and then renamed, so that two processes at once cannot see or make half of it. */
async function make(/** @type {string} */ target, /** @type {Environment} */ environment) {
  const temporary = `${target}.${pid}.tmp`;
  try {
    await mkdir(folder, { recursive: true });
    await createEnvironment(temporary, environment);
    await install(interpreterOf(temporary), environment);
    await rename(temporary, target);
  } catch (error) {
    // Another process may have been faster; then its environment serves as well.
    if (!(await works(interpreterOf(target), environment))) throw error;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function createEnvironment(/** @type {string} */ path, /** @type {Environment} */ { purpose }) {
  const python = env['CRYPTOTENSORS_PYTHON'] ?? (platform === 'win32' ? 'python' : 'python3');
  try {
    await run(python, ['-c', 'import sys; sys.exit(0 if (3, 10) <= sys.version_info[:2] <= (3, 13) else 1)']);
    await run(python, ['-m', 'venv', path]);
  } catch (cause) {
    throw new Error(
      `${purpose} Python 3.10 to 3.13 with its venv module, but \`${python}\` does not serve: ${reason(cause)}\n` +
        'Install it (Debian: apt-get install python3 python3-venv), or name another one in CRYPTOTENSORS_PYTHON.',
      { cause },
    );
  }
}

async function install(/** @type {string} */ interpreter, /** @type {Environment} */ { requirements, purpose, probe }) {
  try {
    await run(interpreter, [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '--requirement',
      join(root, requirements),
    ]);
    await run(interpreter, ['-c', probe]);
  } catch (cause) {
    throw new Error(
      `${purpose} the packages of ${requirements}, but pip could not install them: ${reason(cause)}\n` +
        'Connect to the network for the first run, or point pip at a mirror (PIP_INDEX_URL); afterwards .venv/ is used again.',
      { cause },
    );
  }
}

async function works(/** @type {string} */ interpreter, /** @type {Environment} */ { probe }) {
  try {
    await run(interpreter, ['-c', probe]);
    return true;
  } catch {
    return false;
  }
}

/** Environments of earlier requirements. Those of other names, and those that another process is making, are left alone. */
async function removeOthers(/** @type {string} */ name, /** @type {string} */ target) {
  for (const entry of await readdir(folder)) {
    const path = join(folder, entry);
    if (entry.startsWith(`${name}-`) && path !== target && !entry.endsWith('.tmp'))
      await rm(path, { recursive: true, force: true });
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
    const name = argv[2] ?? 'interop';
    if (name !== 'interop' && name !== 'kms') throw new Error(`no environment is named ${name}: interop or kms`);
    console.log(await ensurePythonEnv(name));
  } catch (error) {
    console.error(/** @type {Error} */ (error).message);
    process.exitCode = 1;
  }
}
