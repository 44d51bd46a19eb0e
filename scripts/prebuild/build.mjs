// One addon for one target: the Rust library, then the C++ around it, then the link.
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { spawn, spawnSync } from 'node:child_process';
import { buildRust, cache, compilers, nodeAddonApi, nodeApiHeaders, root, run, zig } from './toolchain.mjs';
import { check } from './check.mjs';
import { fileOf } from './targets.mjs';

const require = createRequire(import.meta.url);
const { sources, exported } = require('../../native/sources.cjs');

/** As binding.gyp has them for builds from source. */
const COMPILER_FLAGS = [
  ...['-std=c++20', '-O3', '-DNDEBUG', '-fPIC', '-fvisibility=hidden', '-fvisibility-inlines-hidden'],
  ...['-ffunction-sections', '-fdata-sections', '-fstack-protector-strong', '-fno-sanitize=all'],
  ...['-Wall', '-Wextra', '-Werror', '-DNODE_GYP_MODULE_NAME=cryptotensors'],
];
const BY_FORMAT = {
  elf: ['-D_FORTIFY_SOURCE=2'],
  macho: [],
  coff: [],
};

export const prebuilds = join(root, 'prebuilds');

/** @returns the path of the addon */
export async function build(target) {
  const tools = compilers(target);
  const library = buildRust(target, tools);
  const objects = await compile(target, tools);
  const output = join(prebuilds, fileOf(target));
  const linked = join(cache, 'linked', fileOf(target));
  for (const folder of [prebuilds, dirname(linked)]) mkdirSync(folder, { recursive: true });
  rmSync(linked, { force: true });
  link(target, tools, [...objects, library], linked);
  check(target, linked);
  copyFileSync(linked, `${output}.part`);
  renameSync(`${output}.part`, output);
  return output;
}

async function compile(target, { cxx, env }) {
  const flags = [
    ...COMPILER_FLAGS,
    ...BY_FORMAT[target.format],
    ...['-isystem', join(nodeApiHeaders(), 'include'), '-isystem', nodeAddonApi()],
    ...['-I', join(root, 'native/rust/aead/include')],
  ];
  // Of other flags, other objects.
  const folder = join(
    cache,
    'objects',
    target.name,
    createHash('sha256').update(flags.join(' ')).digest('hex').slice(0, 12),
  );
  mkdirSync(folder, { recursive: true });
  const newestHeader = Math.max(...headers().map((file) => statSync(file).mtimeMs));
  const waiting = sources.map((source) => ({
    source: join(root, source),
    object: join(folder, `${source.replaceAll('/', '_')}.o`),
  }));
  const objects = waiting.map(({ object }) => object);
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { source, object } = next;
      const since = Math.max(newestHeader, statSync(source).mtimeMs);
      if (existsSync(object) && statSync(object).mtimeMs > since) continue;
      // Complete or not at all, so that what was interrupted is not taken for whole.
      await start(cxx, [...flags, '-c', source, '-o', `${object}.part`], env);
      renameSync(`${object}.part`, object);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return objects;
}

/** What an object depends on besides its source and the flags. */
function headers() {
  const folders = ['native/core', 'native/binding', 'native/rust/aead/include'];
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.h'))
      .map((name) => join(root, folder, name)),
  );
}

function start(command, args, env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stdout.on('data', (text) => (said += text));
    child.stderr.on('data', (text) => (said += text));
    child.on('error', reject);
    child.on('close', (status) =>
      status === 0 ? resolve() : reject(new Error(`${said}${command} ${args.join(' ')} failed`)),
    );
  });
}

function link(target, tools, inputs, output) {
  if (target.format === 'macho') return linkMacho(target, tools, inputs, output);
  if (target.format === 'coff') return linkCoff(target, tools, inputs, output);
  const flags = [
    ...['-Wl,-z,relro', '-Wl,-z,now', '-Wl,-z,noexecstack', '-Wl,--gc-sections', '-Wl,--no-undefined-version'],
    ...[`-Wl,--version-script=${join(root, 'native/binding/exports.map')}`, `-Wl,-soname,${basename(output)}`],
    ...['-Wl,--build-id=sha1', '-s'],
  ];
  run(tools.cxx, ['-shared', '-o', output, ...flags, ...inputs, '-ldl', '-lpthread'], { env: tools.env });
}

/** By LLVM's linker, since Zig's own exports more than it is told to. What Node.js provides is looked up when the addon is loaded. */
function linkMacho(target, tools, inputs, output) {
  const architecture = target.name.endsWith('x64') ? 'x86_64' : 'arm64';
  run(process.env.PREBUILD_LD64 ?? 'ld64.lld-19', [
    ...['-bundle', '-arch', architecture, '-platform_version', 'macos', '11.0', '11.0', '-undefined', 'dynamic_lookup'],
    ...['-dead_strip', '-S', '-x', '-adhoc_codesign', '-o', output],
    ...exported.flatMap((name) => ['-exported_symbol', `_${name}`]),
    ...['-syslibroot', '/nonexistent', join(dirname(zig()), 'lib/libc/darwin/libSystem.tbd')],
    ...[...inputs, ...runtimeMacho(target, tools, inputs)],
  ]);
}

/**
 * The static libraries that Zig adds to what it links for macOS: C++'s and the compiler's own. It builds them when it links, and says
 * where they are.
 */
function runtimeMacho(target, tools, inputs) {
  const throwaway = join(cache, 'linked', 'throwaway');
  const { stderr } = spawnSync(
    tools.cxx,
    ['-shared', '-undefined', 'dynamic_lookup', '--verbose-link', '-o', throwaway, ...inputs],
    {
      cwd: root,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      env: { ...process.env, ...tools.env },
    },
  );
  const libraries = stderr.match(/[^\s'"]+\/lib(c\+\+|c\+\+abi|compiler_rt|unwind)\.a/g) ?? [];
  if (libraries.length < 2) throw new Error(`Zig does not say where its libraries for ${target.name} are:\n${stderr}`);
  return [...new Set(libraries)];
}

/** node.exe exports Node-API; a library of names tells the linker so. */
function linkCoff(target, tools, inputs, output) {
  const folder = join(cache, 'objects', target.name);
  mkdirSync(folder, { recursive: true });
  const names = join(folder, 'node.def');
  const library = join(folder, 'node.lib');
  const definitions = ['js_native_api.def', 'node_api.def'].map((file) =>
    readFileSync(join(nodeApiHeaders(), 'def', file), 'utf8').replace(/^[\s\S]*?EXPORTS/, ''),
  );
  writeFileSync(names, `NAME node.exe\nEXPORTS${definitions.join('\n')}`);
  const machine = target.name.includes('-x64') ? 'i386:x86-64' : 'arm64';
  tools.dlltool(['-d', names, '-D', 'node.exe', '-l', library, '-m', machine]);
  const exports = join(folder, 'exports.def');
  writeFileSync(exports, `EXPORTS\n${exported.join('\n')}\n`);
  const flags = ['-Wl,--dynamicbase', '-Wl,--nxcompat', '-Wl,--high-entropy-va', '-s'];
  run(
    tools.cxx,
    ['-shared', '-o', output, ...flags, ...inputs, library, exports, '-lntdll', '-luserenv', '-lws2_32', '-lbcrypt'],
    { env: tools.env },
  );
}
