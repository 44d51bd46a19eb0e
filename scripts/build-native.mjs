// Builds the addon: the Rust library with cargo, then the C++ around it with node-gyp, then checks what came out.
//
// Work whose results are newer than everything that they are made from is skipped. `--force` does all of it. With `--if-possible` a
// machine without the compilers is no failure: the portable engine serves there.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const force = process.argv.includes('--force');
const needed = ['cargo', 'c++', 'make', 'python3'];

const crate = join(root, 'native/rust/aead');
const library = join(
  crate,
  'target/release',
  process.platform === 'win32' ? 'cryptotensors_aead.lib' : 'libcryptotensors_aead.a',
);
const addon = join(root, 'build/Release/cryptotensors.node');

const crateInputs = [join(crate, 'Cargo.toml'), join(crate, 'Cargo.lock'), ...filesIn(join(crate, 'src'))];
const addonInputs = [
  library,
  join(root, 'binding.gyp'),
  join(crate, 'include'),
  join(root, 'native/core'),
  join(root, 'native/binding'),
].flatMap((path) => filesIn(path));

const missing = process.platform === 'win32' ? [] : needed.filter((tool) => !isThere(tool));
if (process.argv.includes('--if-possible') && missing.length > 0) {
  console.log(
    `There is no ${missing.join(', no ')} on this machine, which building the native addon needs: the portable engine serves, which is slower.`,
  );
  process.exit(0);
}

if (force || isStale(library, crateInputs)) {
  run('Building the Rust library (ring, blake3) ...', 'cargo', ['build', '--release', '--locked'], crate);
}
if (force || isStale(addon, addonInputs)) {
  // The makefiles do not know the Rust library: without this the addon would not be linked again when it alone changed.
  rmSync(join(root, 'build/Release/obj.target/cryptotensors.node'), { force: true });
  run('Building the addon ...', process.execPath, [nodeGyp(), 'configure', 'build', '-j', '2', ...headers()], root);
  if (process.platform === 'linux') checkSymbols();
}
buildPkcs11();

function isThere(tool) {
  return spawnSync(tool, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/**
 * What the tests of PKCS#11 need is built here, not by `npm ci`, which has to work without compilers too.
 */
function buildPkcs11() {
  const folder = join(root, 'node_modules/pkcs11js');
  if (!existsSync(folder) || existsSync(join(folder, 'build/Release/pkcs11.node'))) return;
  run('Building pkcs11js, for tests ...', process.execPath, [nodeGyp(), 'rebuild', ...headers()], folder);
}

/** All files below a directory and the directories themselves, whose times tell of files that went; or just the file. */
function filesIn(path) {
  if (!existsSync(path) || !statSync(path).isDirectory()) return [path];
  return [path, ...readdirSync(path).flatMap((name) => filesIn(join(path, name)))];
}

function isStale(output, inputs) {
  if (!existsSync(output)) return true;
  const built = statSync(output).mtimeMs;
  return inputs.some((input) => !existsSync(input) || statSync(input).mtimeMs > built);
}

/** What the tools say is shown when they fail; what is being done, always. */
function run(what, command, args, cwd) {
  console.log(what);
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} ${withoutBuildPaths()}`.trim() },
  });
  if (error?.code === 'ENOENT')
    fail(
      `${command} was not found. Building the addon from source needs a Rust toolchain, a C++20 compiler, make and Python 3.`,
    );
  if (status !== 0) fail(`${stdout}${stderr}${[command, ...args].join(' ')} failed in ${cwd}`);
}

/** Panic messages of the Rust library name source files: not by where they were on the machine that built it. */
function withoutBuildPaths() {
  const cargoHome = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
  return `--remap-path-prefix=${cargoHome}=cargo --remap-path-prefix=${root}=cryptotensors`;
}

function nodeGyp() {
  return createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
}

/** The headers that come with this Node.js, so that none are downloaded. */
function headers() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
}

/** A function missing from a library would show only when the addon is loaded; one that is exported, in another addon. */
function checkSymbols() {
  const exported = symbols('--defined-only').filter(
    (name) => !['napi_register_module_v1', 'node_api_module_get_api_version_v1'].includes(name),
  );
  const missing = symbols('--undefined-only').filter(
    (name) => !/^(napi_|node_api_)/.test(name) && !/@|^(_ITM_|__gmon_start__$|__cxa_finalize$)/.test(name),
  );
  if (exported.length > 0) fail(`the addon exports symbols of its own: ${exported.join(', ')}`);
  if (missing.length > 0) fail(`the addon needs symbols that nothing provides: ${missing.join(', ')}`);
}

/** Dynamic symbols, with the version of the system library that provides them. */
function symbols(which) {
  const { stdout, status } = spawnSync('nm', ['-D', which, addon], { encoding: 'utf8' });
  if (status !== 0) fail('nm could not read the addon');
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.trim().split(/\s+/).at(-1));
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
