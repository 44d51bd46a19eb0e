// The tools that build for other platforms: Zig as C and C++ compiler, cargo with a Rust compiler that has the sources of std.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '../..');
/** Outside of what is installed, built or packed; `.gitignore` has it. */
export const cache = join(root, '.cache/prebuild');
export const crate = join(root, 'native/rust/aead');

const ZIG = '0.17.1';
const NODE_API_HEADERS = '1.9.0';

/** Debian's `rustc-web` comes with the sources of std (`rust-web-src`); any other on the PATH stays as it is. */
const rustc = process.env.PREBUILD_RUSTC ?? '/usr/bin/rustc';

/** What the tools say is shown when they fail. */
export function run(command, args, { cwd = root, env = {} } = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, ...env },
  });
  if (error?.code === 'ENOENT') throw new Error(`${command} was not found: see CONTRIBUTING.md, "Prebuilt addons"`);
  if (error) throw error;
  if (status !== 0) throw new Error(`${stdout}${stderr}${[command, ...args].join(' ')} failed in ${cwd}`);
  return stdout;
}

/** The Zig compiler, from PyPI (`ziglang`), fetched once. */
export function zig() {
  const venv = join(cache, `zig-${ZIG}`);
  const find = () => {
    const lib = join(venv, 'lib');
    const python = existsSync(lib) ? readdirSync(lib).find((name) => name.startsWith('python')) : undefined;
    return python === undefined ? '' : join(lib, python, 'site-packages/ziglang/zig');
  };
  if (!existsSync(find())) {
    rmSync(venv, { recursive: true, force: true });
    mkdirSync(cache, { recursive: true });
    run('python3', ['-m', 'venv', venv]);
    run(join(venv, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', `ziglang==${ZIG}`]);
  }
  return find();
}

/** The headers of Node-API and, for Windows, the names of what node.exe exports: npm's `node-api-headers`, fetched once. */
export function nodeApiHeaders() {
  const folder = join(cache, `node-api-headers-${NODE_API_HEADERS}`);
  const found = join(folder, 'node_modules/node-api-headers');
  if (!existsSync(found)) {
    mkdirSync(folder, { recursive: true });
    const spec = `node-api-headers@${NODE_API_HEADERS}`;
    run('npm', ['install', '--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', spec]);
  }
  return found;
}

/** node-addon-api is headers only, and pinned by package.json. */
export function nodeAddonApi() {
  return createRequire(import.meta.url)('node-addon-api').include_dir;
}

/** Programs that compile for the target when they are called as `cc`, `c++` and `ar` are. */
export function compilers(target) {
  const folder = join(cache, 'bin', target.name);
  mkdirSync(folder, { recursive: true });
  const compiler = zig();
  const script = (name, body) => {
    const file = join(folder, name);
    writeFileSync(file, `#!/bin/sh\n${body}\n`);
    chmodSync(file, 0o755);
    return file;
  };
  // Rust's cc crate adds a --target of its own, in words that Zig does not know.
  const compile = (what) =>
    `for word do shift; case $word in --target=*) ;; *) set -- "$@" "$word" ;; esac; done\n` +
    `exec '${compiler}' ${what} -target ${target.zig} ${mapped()} "$@"`;
  return {
    cc: script('cc', compile('cc')),
    cxx: script('c++', compile('c++')),
    ar: script('ar', `exec '${compiler}' ar "$@"`),
    dlltool: (args) => run(compiler, ['dlltool', ...args]),
    env: { ZIG_GLOBAL_CACHE_DIR: join(cache, 'zig-cache'), ZIG_LOCAL_CACHE_DIR: join(cache, 'zig-cache') },
  };
}

/** Folders of this machine that would end up in the files, and the names that they get there. */
function folders() {
  const registry = join(process.env.CARGO_HOME ?? join(homedir(), '.cargo'), 'registry/src');
  return [
    ...(existsSync(registry) ? readdirSync(registry).map((index) => [join(registry, index), 'cargo']) : []),
    [rustSources(), 'rust'],
    [root, 'cryptotensors'],
  ];
}

function mapped() {
  return folders()
    .map(([from, to]) => `'-ffile-prefix-map=${from}=${to}'`)
    .join(' ');
}

function rustSources() {
  return join(run(rustc, ['--print', 'sysroot']).trim(), 'lib/rustlib/src/rust');
}

/**
 * The static library of native/rust/aead for the target. Where the compiler has no std for it, that is built along; the option of
 * cargo for that is unstable, hence RUSTC_BOOTSTRAP.
 */
export function buildRust(target, { cc, ar, env }) {
  const compiled = existsSync(join(run(rustc, ['--print', 'sysroot']).trim(), 'lib/rustlib', target.rust, 'lib'));
  if (!compiled && !existsSync(join(rustSources(), 'library/std'))) {
    throw new Error(
      `${rustc} has neither std for ${target.rust} nor its sources: install the Debian packages rustc-web and rust-web-src`,
    );
  }
  const std = compiled ? [] : ['-Zbuild-std=std,panic_unwind', '-Zbuild-std-features=panic-unwind'];
  const triple = target.rust.replaceAll('-', '_');
  run('cargo', ['fetch', '--locked'], { cwd: crate });
  const flags = folders().map(([from, to]) => `--remap-path-prefix=${from}=${to}`);
  run(
    'cargo',
    [
      ...['build', '--release', '--locked', '--target', target.rust],
      ...std,
      ...['--config', `target.${target.rust}.rustflags=${JSON.stringify(flags)}`],
    ],
    {
      cwd: crate,
      env: {
        ...env,
        ...{ RUSTC: rustc, RUSTC_BOOTSTRAP: '1', RUSTFLAGS: undefined, CARGO_ENCODED_RUSTFLAGS: undefined },
        ...{ CARGO_TARGET_DIR: join(cache, 'rust'), [`CC_${triple}`]: cc, [`AR_${triple}`]: ar },
      },
    },
  );
  return join(cache, 'rust', target.rust, 'release/libcryptotensors_aead.a');
}

export function packageVersion() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
}
