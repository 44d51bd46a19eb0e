// Builds src/policy/policy.wasm from native/rust/policy and meters it by native/rust/meter, reproducibly: the same sources and tools give the same bytes,
// whatever the folders are called (native/rust/policy/README.md).
//
//   node scripts/build-policy-wasm.mjs           builds, and replaces src/policy/policy.wasm and the two files beside it
//   node scripts/build-policy-wasm.mjs --check   builds, and fails unless the bytes are the committed ones
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { collectLicenses } from './policy-licenses.mjs';

/* global WebAssembly -- of Node.js */

const root = join(import.meta.dirname, '..');
const crate = join(root, 'native/rust/policy');
const meterCrate = join(root, 'native/rust/meter');
const artefact = join(root, 'src/policy/policy.wasm');
const target = 'wasm32-unknown-unknown';

/** Debian's compiler, which comes with the sources of std; any other on the PATH stays as it is. */
const rustc = process.env.POLICY_RUSTC ?? '/usr/bin/rustc';
/** What the committed file was built with. */
const tools = { [rustc]: 'rustc 1.96.0', 'wasm-ld-19': 'LLD 19.1.7' };

function checkTools() {
  for (const [tool, expected] of Object.entries(tools)) {
    let found;
    try {
      found = execFileSync(tool, ['--version'], { encoding: 'utf8' }).trim();
    } catch {
      throw new Error(`${tool} is missing: install the Debian packages rustc-web, rust-web-src and lld-19`);
    }
    if (!found.includes(expected)) {
      console.warn(`${tool} is "${found}", not ${expected}: expect other bytes than the committed ones`);
    }
  }
}

/** The sources that come with the compiler. */
function rustSources() {
  const sysroot = execFileSync(rustc, ['--print', 'sysroot'], { encoding: 'utf8' }).trim();
  return join(sysroot, 'lib/rustlib/src/rust');
}

/** Names for the folders that the compiler would otherwise write into the file as they are on this machine. */
function remappedFolders() {
  const registry = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'registry/src');
  return [
    ...readdirSync(registry).map((index) => [join(registry, index), 'cargo']),
    [rustSources(), 'rust'],
    [crate, 'policy'],
  ];
}

function build() {
  const run = (args) => execFileSync('cargo', args, { cwd: crate, env, stdio: 'inherit' });
  // RUSTC_BOOTSTRAP: std is built from source, for lack of a compiled one for this target; that option is unstable.
  const env = { ...process.env, RUSTC: rustc, RUSTC_BOOTSTRAP: '1', CARGO_TARGET_DIR: join(crate, 'target') };
  // These would replace the flags of .cargo/config.toml.
  delete env.RUSTFLAGS;
  delete env.CARGO_ENCODED_RUSTFLAGS;

  run(['fetch', '--locked']);
  const flags = remappedFolders().map(([from, to]) => `--remap-path-prefix=${from}=${to}`);
  run([
    ...['build', '--locked', '--release', '--target', target, '-Zbuild-std=std,panic_abort'],
    ...['--config', `target.${target}.rustflags=${JSON.stringify(flags)}`],
  ]);
  return meter(join(crate, 'target', target, 'release/cryptotensors_policy.wasm'));
}

/** What its memory holds once it has done what is the same for all questions. It can reach nothing, so that is the same everywhere. */
function prepare(module) {
  const { memory, prepare } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(module))).exports;
  prepare();
  return new Uint8Array(memory.buffer);
}

/** What the meter writes depends on its input alone, so any compiler may build it. */
function meter(module) {
  const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-meter-'));
  try {
    const metered = join(folder, 'metered.wasm');
    const memory = join(folder, 'memory');
    writeFileSync(memory, prepare(module));
    const env = { ...process.env, CARGO_TARGET_DIR: join(meterCrate, 'target') };
    const args = ['run', '--locked', '--quiet', '--release', '--', module, memory, metered];
    execFileSync('cargo', args, { cwd: meterCrate, env, stdio: 'inherit' });
    return readFileSync(metered);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The properties that the sandbox rests on (native/rust/policy/README.md). */
function checkSandbox(wasm) {
  const module = new WebAssembly.Module(wasm);
  const imports = WebAssembly.Module.imports(module);
  if (imports.length > 0) throw new Error(`the module imports ${JSON.stringify(imports)}; it must import nothing`);
  const { memory, fuel, ask } = new WebAssembly.Instance(module).exports;
  if (fuel?.value !== 0n) throw new Error('the module has no fuel gauge that starts at 0');
  let runs = true;
  try {
    ask(0);
  } catch {
    runs = false;
  }
  if (runs) throw new Error('the module runs without fuel');
  let grewBeyond = true;
  try {
    memory.grow((64 * 1024 * 1024 - memory.buffer.byteLength) / 65536 + 1);
  } catch {
    grewBeyond = false;
  }
  if (grewBeyond) throw new Error('the memory of the module grows beyond 64 MiB');
}

checkTools();
const wasm = build();
checkSandbox(wasm);
const sha256 = createHash('sha256').update(wasm).digest('hex');
const built = {
  [artefact]: wasm,
  [`${artefact}.sha256`]: Buffer.from(`${sha256}  policy.wasm\n`),
  [`${artefact}.licenses.txt`]: Buffer.from(collectLicenses(crate, target, rustSources())),
};

for (const [file, content] of Object.entries(built)) {
  if (!process.argv.includes('--check')) {
    writeFileSync(file, content);
  } else if (!content.equals(readFileSync(file))) {
    throw new Error(`${file} is not what the sources build, which is a policy.wasm of SHA-256 ${sha256}`);
  }
}
console.log(`policy.wasm: ${wasm.length} bytes, SHA-256 ${sha256}`);
