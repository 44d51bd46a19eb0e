// The platforms that the package brings an addon for. Names are those of `@napi-rs/cli` (`napi.targets` in package.json).

import { existsSync } from 'node:fs';

/**
 * @typedef {object} Target
 * @property {string} name    of the prebuilt file: cryptotensors.NAME.node
 * @property {string} rust    the triple that cargo builds for
 * @property {string} zig     the target of the C and C++ compiler, with the oldest system that the file has to run on
 * @property {'elf' | 'macho' | 'coff'} format
 */

/** @type {Target[]} */
export const targets = [
  { name: 'linux-x64-gnu', rust: 'x86_64-unknown-linux-gnu', zig: 'x86_64-linux-gnu.2.17', format: 'elf' },
  { name: 'linux-x64-musl', rust: 'x86_64-unknown-linux-musl', zig: 'x86_64-linux-musl', format: 'elf' },
  { name: 'linux-arm64-gnu', rust: 'aarch64-unknown-linux-gnu', zig: 'aarch64-linux-gnu.2.28', format: 'elf' },
  { name: 'linux-arm64-musl', rust: 'aarch64-unknown-linux-musl', zig: 'aarch64-linux-musl', format: 'elf' },
  { name: 'darwin-x64', rust: 'x86_64-apple-darwin', zig: 'x86_64-macos.11.0', format: 'macho' },
  { name: 'darwin-arm64', rust: 'aarch64-apple-darwin', zig: 'aarch64-macos.11.0', format: 'macho' },
  // Addons speak to Node.js through C alone, so the compiler need not be the one that built it: these use the system's own C
  // library, and need no runtime that has to be installed.
  { name: 'win32-x64-msvc', rust: 'x86_64-pc-windows-gnullvm', zig: 'x86_64-windows-gnu', format: 'coff' },
  { name: 'win32-arm64-msvc', rust: 'aarch64-pc-windows-gnullvm', zig: 'aarch64-windows-gnu', format: 'coff' },
];

export function fileOf(target) {
  return `cryptotensors.${target.name}.node`;
}

/** @throws Error for a name that there is no target of */
export function targetsNamed(names) {
  for (const name of names) {
    if (!targets.some((target) => target.name === name)) {
      throw new Error(`no target ${name}; there are: ${targets.map((target) => target.name).join(', ')}`);
    }
  }
  return names.length === 0 ? targets : targets.filter((target) => names.includes(target.name));
}

/** Of this machine: the addon that `npm run build:native` builds would be called so. */
export function hostTarget() {
  const { platform, arch } = process;
  const names = targets.map((target) => target.name).filter((name) => name.startsWith(`${platform}-${arch}`));
  // A system with musl alone has no loader of glibc's; this is for development, where glibc is the rule.
  return names.length > 1 && existsSync('/etc/alpine-release') ? names.find((name) => name.endsWith('musl')) : names[0];
}
