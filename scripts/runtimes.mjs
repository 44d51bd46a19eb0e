// Other runtimes, from npm's packages, pinned: fetched once into .cache/runtimes/ and given by path.
//
//   node scripts/runtimes.mjs vectors [NAME ...]     runs scripts/vectors.mjs in each runtime, on the native and the portable engine
//   node scripts/runtimes.mjs path NAME              prints where a runtime is, fetching it first
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const cache = join(root, '.cache/runtimes');

/** Package and the program in it. Node.js 20 is the oldest that is supported; it and whatever runs this need no fetching. */
const RUNTIMES = {
  node20: { package: `node-linux-${process.arch}@20.20.2`, program: 'bin/node' },
  node22: { package: `node-linux-${process.arch}@22.23.5`, program: 'bin/node' },
  node24: { package: `node-linux-${process.arch}@24.22.3`, program: 'bin/node' },
  node26: { package: `node-linux-${process.arch}@26.12.1`, program: 'bin/node' },
  bun: { package: `@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64'}@1.4.5`, program: 'bin/bun' },
  deno: { package: `@deno/linux-${process.arch}-glibc@2.9.6`, program: 'deno' },
};
/** What stands between the program and the script. */
const ARGUMENTS = { deno: ['run', '-A'] };

export const runtimeNames = Object.keys(RUNTIMES);

/** The path of a runtime's program. Fetches it if it is not there yet. */
export function runtime(name) {
  const known = RUNTIMES[name];
  if (known === undefined) throw new Error(`no runtime ${name}; there are: ${runtimeNames.join(', ')}`);
  const at = known.package.lastIndexOf('@');
  const folder = join(cache, `${name}-${known.package.slice(at + 1)}`);
  const program = join(folder, 'node_modules', known.package.slice(0, at), known.program);
  if (!existsSync(program)) fetchInto(folder, known.package);
  return program;
}

/** The program of a runtime, and the words that stand before the script. */
export function commandOf(name) {
  return [runtime(name), ...(ARGUMENTS[name] ?? [])];
}

/** Complete or not at all, so that what was interrupted is not taken for whole. */
function fetchInto(folder, spec) {
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  // No scripts: some of these packages would fetch more. Forced: the optional platform packages name other systems.
  const words = [
    'install',
    '--prefix',
    part,
    '--no-save',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--force',
    spec,
  ];
  const { status, stderr } = spawnSync('npm', words, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`npm could not fetch ${spec}:\n${stderr}`);
  rmSync(folder, { recursive: true, force: true });
  renameSync(part, folder);
}

function runVectors(names) {
  let failed = 0;
  for (const name of names) {
    for (const engine of ['native', 'portable']) {
      const env = { ...process.env };
      delete env.CRYPTOTENSORS_ENGINE;
      if (engine === 'portable') env.CRYPTOTENSORS_ENGINE = 'portable';
      const words = [...(ARGUMENTS[name] ?? []), join(root, 'scripts/vectors.mjs')];
      const { status, stdout, stderr } = spawnSync(runtime(name), words, { encoding: 'utf8', env, cwd: root });
      console.log(`${name.padEnd(7)} ${stdout.trim().split('\n').at(-1)}`);
      // The name of the engine that served is part of the answer: a fallback is no success.
      if (status === 0 && stdout.includes(`${engine}: `)) continue;
      failed++;
      console.log(`${stdout}\n${stderr}`);
    }
  }
  return failed;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [what, ...names] = process.argv.slice(2);
  if (what === 'path' && names.length === 1) console.log(runtime(names[0]));
  else if (what === 'vectors') process.exitCode = runVectors(names.length > 0 ? names : runtimeNames) > 0 ? 1 : 0;
  else {
    console.error('Try: node scripts/runtimes.mjs vectors [NAME ...], or: node scripts/runtimes.mjs path NAME');
    process.exitCode = 2;
  }
}
