// Packs what npm ships, apart from the checkout: builds lib/ into a folder of its own, puts the rest beside it, and runs `npm pack`.
//
//   node scripts/pack.mjs FOLDER [--without-addons]
//
// prints the path of the tarball. It brings the addons that are in prebuilds/ (scripts/prebuild.mjs); a release has all of them.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { pathToFileURL } from 'node:url';
import { hostTarget } from './prebuild/targets.mjs';

const root = join(import.meta.dirname, '..');

/**
 * @param {string} folder for the tarball; what it is made from lies in its folder `package`
 * @param {{ addons?: boolean }} options
 * @returns {{ tarball: string, size: number, files: { path: string, size: number, mode: number }[] }}
 */
export function pack(folder, { addons = true } = {}) {
  const staging = join(folder, 'package');
  rmSync(staging, { recursive: true, force: true });
  mkdirSync(staging, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  for (const file of manifest.files) {
    if (file === 'lib' || file.startsWith('prebuilds')) continue;
    cpSync(join(root, file), join(staging, file), { recursive: true });
  }
  run(process.execPath, [join(root, 'scripts/build-package.mjs'), '--out', join(staging, 'lib')], root);
  if (addons) bringAddons(join(staging, 'prebuilds'));
  writeFileSync(join(staging, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  const [packed] = asList(
    JSON.parse(run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], staging)),
  );
  return { tarball: join(folder, packed.filename), size: packed.size, files: packed.files };
}

/** Those that are built; for this platform, if need be, the one that `npm run build:native` left. */
function bringAddons(folder) {
  const from = join(root, 'prebuilds');
  const built = existsSync(from) ? readdirSync(from).filter((file) => file.endsWith('.node')) : [];
  for (const file of built) cpSync(join(from, file), join(folder, file));
  const own = `cryptotensors.${hostTarget()}.node`;
  const local = join(root, 'build/Release/cryptotensors.node');
  if (!built.includes(own) && existsSync(local)) cpSync(local, join(folder, own));
}

/** npm 12 gives an object of packages, by name. */
function asList(answer) {
  return Array.isArray(answer) ? answer : Object.values(answer);
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}${stderr}`);
  return stdout;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { 'without-addons': { type: 'boolean', default: false } },
  });
  const folder = resolve(positionals[0] ?? '.');
  const { tarball, size } = pack(folder, { addons: !values['without-addons'] });
  console.log(`${tarball} ${size} bytes`);
}
