import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import addonFile from './addon-file.cjs';
import type { Addon } from './addon.js';
import { libc } from './libc.js';

/** One place where the addon could have been, and why it was not loaded from there. */
export interface Attempt {
  addon: string;
  reason: string;
}

/** The addon with the place that it came from, if any place had it, and what was tried before. */
export interface Found {
  addon: Addon | undefined;
  from: string | null;
  tried: readonly Attempt[];
}

interface Candidate {
  name: string;
  load: () => unknown;
}

let found: Found | undefined;

/** Looks once in a thread; addons stay loaded. */
export function findAddon(): Found {
  found ??= look();
  return found;
}

function look(): Found {
  const tried: Attempt[] = [];
  for (const { name, load } of candidates()) {
    try {
      return { addon: load() as Addon, from: name, tried };
    } catch (cause) {
      tried.push({ addon: name, reason: messageOf(cause) });
    }
  }
  return { addon: undefined, from: null, tried };
}

/**
 * In this order: the file that the user names; in a checkout what was built there, since what scripts/prebuild.mjs left may be
 * older than the sources; what the package brings for this platform.
 */
function candidates(): Candidate[] {
  const list: Candidate[] = [];
  const named = process.env['CRYPTOTENSORS_NATIVE'];
  if (named !== undefined && named !== '') {
    list.push({ name: named, load: () => addonFile.open(named) });
  }
  const local = localBuild();
  if (local !== undefined) list.push({ name: local, load: () => addonFile.open(local) });
  for (const platform of platforms()) {
    list.push({ name: prebuiltFile(platform), load: () => loadPrebuilt(platform) });
  }
  return list;
}

/** In a checkout, which has a binding.gyp that no package has: what was built from its sources, if it was. */
function localBuild(): string | undefined {
  if (addonFile.folder === undefined) return undefined;
  for (const up of ['..', '../..']) {
    const root = resolve(addonFile.folder, up);
    const addon = join(root, 'build/Release/cryptotensors.node');
    if (existsSync(join(root, 'binding.gyp')) && existsSync(addon)) return addon;
  }
  return undefined;
}

/** What the package's files are called for this platform: two, where the C library is not known. */
function platforms(): string[] {
  const { platform, arch } = process;
  if (platform === 'win32') return [`win32-${arch}-msvc`];
  if (platform !== 'linux') return [`${platform}-${arch}`];
  const known = libc();
  return (known === undefined ? ['gnu', 'musl'] : [known]).map((abi) => `linux-${arch}-${abi}`);
}

function prebuiltFile(platform: string): string {
  return `prebuilds/cryptotensors.${platform}.node`;
}

function loadPrebuilt(platform: string): unknown {
  const outcome = addonFile.prebuilt(platform);
  if (outcome === undefined) throw new Error(NO_BUILD);
  if (outcome.loaded) return outcome.addon;
  throw outcome.cause;
}

const NO_BUILD = 'the package has no addon for this platform';
const SEE_BUNDLERS = 'docs/bundlers.md of the package says how for each bundler';

/** Causes by what the runtime, the loader of the system or a bundler says of them, and what to do about each: the telling ones first. */
const REMEDIES: readonly (readonly [RegExp, string])[] = [
  [
    /loading (native )?addons? is disabled|ERR_DLOPEN_DISABLED|--allow-addons/i,
    'Node.js was told to load no addons: start it without --no-addons, or with --allow-addons next to --permission',
  ],
  [
    /GLIBC_[\d.]+['’]? not found/,
    "The system's C library is older than the addon needs (glibc 2.17 on x64, 2.28 on arm64): run on a newer system",
  ],
  [
    /Error relocating|ld-(linux|musl)\S* ?.*No such file|libc\.(so\.6|musl)/,
    'The file is for another C library (glibc or musl): let CRYPTOTENSORS_NATIVE name the one for this system, or nothing',
  ],
  [
    /failed to map segment|Operation not permitted/,
    'The file lies where no code may be run from (a file system mounted noexec): move it and let CRYPTOTENSORS_NATIVE name it',
  ],
  [
    /ELF|wrong architecture|not a valid Win32|file too short|mach-o/i,
    'The file is damaged or for another platform: install the package again on this platform',
  ],
  [
    /Dynamic require of|require is not defined|require is not a function/,
    `A bundler put the library into an ES module, which cannot load addons: leave cryptotensors external; ${SEE_BUNDLERS}`,
  ],
  [
    new RegExp(NO_BUILD),
    'docs/platforms.md of the package lists the platforms that have one; build it from source and let CRYPTOTENSORS_NATIVE name it',
  ],
  [
    /Cannot find|No such (built-in module|file)|cannot open shared object file|ENOENT|not find module/i,
    `The file is not where the library runs. In a bundle, leave cryptotensors external, or copy the file from the package's folder prebuilds/ and let CRYPTOTENSORS_NATIVE name it; ${SEE_BUNDLERS}. In a checkout run npm run build:native, which needs a Rust toolchain, a C++20 compiler, make and Python 3`,
  ],
];

/** What to do about the cause that tells most. */
export function adviceFor(tried: readonly Attempt[]): string {
  const remedy = REMEDIES.find(([pattern]) => tried.some(({ reason }) => pattern.test(reason)));
  return remedy?.[1] ?? 'Install the package again on this platform; in a checkout run npm run build:native';
}

export function reasonsOf(tried: readonly Attempt[]): string {
  return tried.map(({ addon, reason }) => `${addon}: ${reason}`).join('; ');
}

/** In one line, without the stack of requires that Node.js adds. */
export function messageOf(error: unknown): string {
  const { message } = error as Partial<Error>;
  return (message ?? String(error))
    .replace(/\nRequire stack:[^]*/, '')
    .replace(/\s+/g, ' ')
    .trim();
}
