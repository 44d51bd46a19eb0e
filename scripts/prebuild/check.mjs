// What holds of every prebuilt addon, looked up in the file: it exports two functions, needs nothing but Node-API and the system's
// own libraries, of a version that is old enough, is hardened, and does not say where it was built.
import { readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { root, run } from './toolchain.mjs';

const { exported } = createRequire(import.meta.url)('../../native/sources.cjs');

const OLDEST_GLIBC = { 'linux-x64-gnu': [2, 17], 'linux-arm64-gnu': [2, 28] };
const MOST_BYTES = 2_000_000;

/** Besides Node-API's functions, what may be undefined comes from these. */
const LIBRARIES = {
  gnu: /^(lib(c|m|dl|pthread|rt)\.so\.\d|ld-linux-(x86-64|aarch64)\.so\.\d)$/,
  musl: /^(libc\.so|libc\.musl-.*\.so\.1)$/,
  darwin: /^\/usr\/lib\/libSystem\.B\.dylib$/,
  win32:
    /^(node\.exe|kernel32\.dll|ntdll\.dll|advapi32\.dll|bcrypt(primitives)?\.dll|userenv\.dll|ws2_32\.dll|api-ms-win-[a-z0-9-]+\.dll)$/i,
};
const NODE_API = /^_?(napi_|node_api_)/;

const readobj = process.env.PREBUILD_READOBJ ?? 'llvm-readobj';
const nm = process.env.PREBUILD_NM ?? 'llvm-nm';

/** @throws Error that lists what does not hold; @returns facts for docs/platforms.md */
export function check(target, file) {
  const faults = [];
  const expect = (holds, fault) => holds || faults.push(fault);
  const facts = { bytes: statSync(file).size, ...BY_FORMAT[target.format](target, file, expect) };
  expect(facts.bytes <= MOST_BYTES, `it has ${facts.bytes} bytes`);
  const bytes = readFileSync(file).toString('latin1');
  for (const folder of [root, homedir(), '/usr/lib/rustlib', '/registry/src/']) {
    expect(!bytes.includes(folder), `it names ${folder}`);
  }
  if (faults.length > 0) throw new Error(`${file}:\n  ${faults.join('\n  ')}`);
  return facts;
}

function lines(command, ...args) {
  return run(command, args)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function expectExports(found, expect) {
  const names = [...found].sort();
  expect(names.join() === [...exported].sort().join(), `it exports ${names.join(', ') || 'nothing'}`);
}

function expectLibraries(found, allowed, expect) {
  for (const name of found) expect(allowed.test(name), `it needs ${name}`);
}

function checkElf(target, file, expect) {
  const abi = target.name.split('-').at(-1);
  const symbols = (which) => lines(nm, '-D', which, '--format=posix', file).map((line) => line.split(' ', 2));
  const bare = (name) => name.replace(/@.*$/, '');
  expectExports(
    symbols('--defined-only').map(([name]) => bare(name)),
    expect,
  );

  const undefinedOnes = symbols('--undefined-only');
  const versions = undefinedOnes.flatMap(([name]) => /@GLIBC_(\d+)\.(\d+)/.exec(name)?.slice(1, 3).map(Number) ?? []);
  let highest = [0, 0];
  for (let i = 0; i < versions.length; i += 2) {
    const [major, minor] = versions.slice(i, i + 2);
    if (major > highest[0] || (major === highest[0] && minor > highest[1])) highest = [major, minor];
  }
  const floor = OLDEST_GLIBC[target.name];
  if (floor === undefined) expect(versions.length === 0, 'it needs glibc');
  else expect(highest[0] === floor[0] && highest[1] <= floor[1], `it needs GLIBC_${highest.join('.')}`);
  for (const [name, kind] of undefinedOnes) {
    const known = NODE_API.test(name) || kind === 'w' || name.includes('@GLIBC_') || abi === 'musl';
    expect(known, `nothing is known to provide ${name}`);
  }
  if (abi === 'musl') expectOfMusl(undefinedOnes, expect);

  const dynamic = lines(readobj, '--dynamic-table', '--program-headers', file);
  const needed = dynamic.flatMap((line) => /NEEDED\s+Shared library: \[(.*)\]/.exec(line)?.[1] ?? []);
  expectLibraries(needed, LIBRARIES[abi], expect);
  const has = (pattern) => dynamic.some((line) => pattern.test(line));
  expect(has(/PT_GNU_RELRO/), 'its tables of addresses stay writable (no RELRO)');
  expect(has(/BIND_NOW|FLAGS.*\bNOW\b/), 'its functions are looked up lazily (no BIND_NOW)');
  expect(!has(/\b(RPATH|RUNPATH|TEXTREL)\b/), 'it has a RPATH or relocations in its code');
  expect(!stackIsExecutable(dynamic), 'its stack is executable');
  const guarded = lines(nm, '-D', '--undefined-only', file).some((line) => line.includes('__stack_chk_fail'));
  expect(guarded, 'its stack is not guarded');
  return { needed, floor: floor === undefined ? 'musl' : `glibc ${highest.join('.')}` };
}

/** Symbols have no versions there: what C libraries got after musl 1.2.2, the oldest that the addon is for (Alpine 3.14). */
const NEWER_THAN_MUSL = ['preadv2', 'pwritev2', 'statx', 'qsort_r', 'posix_getdents', 'renameat2'];

/** Names that are in no C library show here, by what C++, Rust or a sanitizer would leave over. */
function expectOfMusl(symbols, expect) {
  for (const [name, kind] of symbols) {
    if (kind === 'w' || NODE_API.test(name)) continue;
    expect(!NEWER_THAN_MUSL.includes(name), `${name} is in new versions of musl only`);
    expect(
      !/^(_Z|_R|__(asan|ubsan|tsan|cxa|gxx|rust)|_Unwind|(ring|blake3|cryptotensors)_|.*_chk$)/.test(name) ||
        name === '__cxa_atexit',
      `nothing is known to provide ${name}`,
    );
  }
}

function stackIsExecutable(dynamic) {
  const at = dynamic.findIndex((line) => line.includes('PT_GNU_STACK'));
  return at < 0 || dynamic.slice(at, at + 16).some((line, i) => i > 0 && /PF_X/.test(line) && i < 14);
}

function checkMacho(target, file, expect) {
  const names = (which) => lines(nm, which, '--format=just-symbols', '--extern-only', file);
  expectExports(
    names('--defined-only').map((name) => name.replace(/^_/, '')),
    expect,
  );
  for (const name of names('--undefined-only')) {
    const known = NODE_API.test(name) || !/^__?(Z|R)[A-Z0-9]|_(ring|blake3|cryptotensors)_/.test(name);
    expect(known, `nothing is known to provide ${name}`);
  }
  const needed = lines(readobj, '--needed-libs', file).filter((line) => line.startsWith('/'));
  expectLibraries(needed, LIBRARIES.darwin, expect);
  return { needed, floor: 'macOS 11' };
}

function checkCoff(target, file, expect) {
  const found = lines(readobj, '--coff-exports', file).flatMap((line) => /^Name: (\S+)/.exec(line)?.[1] ?? []);
  expectExports(found, expect);
  const imports = lines(readobj, '--coff-imports', file);
  const needed = imports.flatMap((line) => /^Name: (\S+)/.exec(line)?.[1] ?? []);
  expectLibraries(needed, LIBRARIES.win32, expect);
  const headers = run(readobj, ['--file-headers', file]);
  for (const flag of ['DYNAMIC_BASE', 'NX_COMPAT', 'HIGH_ENTROPY_VA']) {
    expect(headers.includes(flag), `it lacks ${flag}`);
  }
  return {
    needed: [...new Set(needed.map((name) => (name.startsWith('api-ms-win-crt') ? 'api-ms-win-crt-*.dll' : name)))],
    floor: 'Windows 10',
  };
}

const BY_FORMAT = { elf: checkElf, macho: checkMacho, coff: checkCoff };
