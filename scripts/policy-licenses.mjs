// Writes src/policy/policy.wasm.licenses.txt: what is linked into policy.wasm, and the notices that its licences ask to be
// passed on. Part of scripts/build-policy-wasm.mjs.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of a crate with a choice of licences, MIT is taken. */
const licenseFile = /^(LICENSE[-.]MIT|LICENSE|LICENCE|COPYING|UNLICENSE)/i;
/** What build-std links in on this target, besides std itself. They lie in the compiler's sources. */
const behindStd = /^(cfg-if|dlmalloc|foldhash|hashbrown|memchr|rustc-demangle)-\d/;
const stdNotice = `Copyright (c) The Rust Project Contributors

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software
is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES
OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR
IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/**
 * @param {string} crate folder of native/rust/policy
 * @param {string} target the compiler's name of the platform
 * @param {string} rustSources folder of the compiler's sources
 * @returns {string} the text of the file
 */
export function collectLicenses(crate, target, rustSources) {
  const components = [
    ...linkedCrates(crate, target),
    {
      title: 'std, alloc, core, compiler_builtins (the Rust standard library)',
      license: 'MIT OR Apache-2.0',
      notice: stdNotice,
    },
    ...standardLibraryCrates(join(rustSources, 'library/vendor')),
  ];
  /** Titles by the notice that they share. */
  const byNotice = new Map();
  for (const { title, notice } of components) byNotice.set(notice, [...(byNotice.get(notice) ?? []), title]);
  return [
    'policy.wasm is built from native/rust/policy (Apache-2.0, see LICENSE) and contains the software listed here.\n',
    ...components.map(({ title, license }) => `- ${title}: ${license}`),
    ...[...byNotice].map(([notice, titles]) => `\n${'='.repeat(80)}\n${titles.join(', ')}\n\n${notice}`),
    '',
  ].join('\n');
}

/** The crates that the module is linked from; macros and build scripts leave nothing in it. */
function linkedCrates(crate, target) {
  const cargo = (...args) => execFileSync('cargo', args, { cwd: crate, encoding: 'utf8', maxBuffer: 2 ** 27 });
  const linked = new Set(
    cargo('tree', '--locked', '--target', target, '-e', 'normal,no-proc-macro', '--prefix', 'none', '-f', '{p}')
      .split('\n')
      .map((line) => line.split(' ', 2).join(' ')),
  );
  const { packages } = JSON.parse(cargo('metadata', '--locked', '--format-version', '1', '--filter-platform', target));
  return packages
    .filter(({ name, version, source }) => source !== null && linked.has(`${name} v${version}`))
    .map(({ name, version, license, authors, manifest_path }) => ({
      title: `${name} ${version}`,
      license,
      notice: readNotice(join(manifest_path, '..')) ?? [license, ...authors].join(', '),
    }))
    .sort((a, b) => (a.title < b.title ? -1 : 1));
}

function standardLibraryCrates(vendor) {
  return readdirSync(vendor)
    .filter((folder) => behindStd.test(folder))
    .map((folder) => {
      const manifest = readFileSync(join(vendor, folder, 'Cargo.toml'), 'utf8');
      const license = /^license = "(.*)"$/m.exec(manifest)?.[1];
      if (license === undefined) throw new Error(`${folder} names no licence`);
      return { title: `${folder} (of std)`, license, notice: readNotice(join(vendor, folder)) ?? license };
    });
}

function readNotice(folder) {
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => licenseFile.test(name)) : [];
  const file = files.find((name) => /MIT/i.test(name)) ?? files.sort()[0];
  return file === undefined ? undefined : readFileSync(join(folder, file), 'utf8').replaceAll('\r\n', '\n').trim();
}
