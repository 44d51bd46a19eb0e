// Runs the vectors with prebuilt addons, each on the system that it is for, as far as that can be had on a Linux x64 machine: other
// processors under qemu-user, Windows under wine.
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runtime } from '../runtimes.mjs';
import { prebuilds } from './build.mjs';
import { fileOf } from './targets.mjs';
import { cache, root, run } from './toolchain.mjs';

/** The oldest that the package is for, of which wine runs the Windows one. */
const NODE = '20.20.2';

/** A Node.js for another platform, from npm's packages, fetched once. */
function nodeFor(platform, program = 'bin/node') {
  const spec = `node-${platform}`;
  const folder = join(cache, `${spec}-${NODE}`);
  const file = join(folder, 'node_modules', spec, program);
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    const words = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--force', `${spec}@${NODE}`];
    run('npm', ['install', '--prefix', folder, ...words]);
  }
  return file;
}

const ARM64_LIBRARIES = '/usr/aarch64-linux-gnu';

/**
 * How each is run. The second of x64 shows that the addon starts on processors without AES-NI and AVX: faster code is picked at run
 * time.
 */
const WAYS = [
  { target: 'linux-x64-gnu', on: 'Node.js 20', command: () => [process.execPath] },
  { target: 'linux-x64-gnu', on: 'Node.js 24', command: () => [runtime('node24')] },
  {
    target: 'linux-x64-gnu',
    on: `Node.js 20, qemu: a processor with neither AES-NI nor AVX`,
    needs: () => onPath('qemu-x86_64-static'),
    command: () => ['qemu-x86_64-static', '-cpu', 'Nehalem', process.execPath],
    slow: true,
  },
  {
    target: 'linux-arm64-gnu',
    on: 'Node.js 20, qemu',
    needs: () => onPath('qemu-aarch64-static') && existsSync(ARM64_LIBRARIES),
    command: () => ['qemu-aarch64-static', '-L', ARM64_LIBRARIES, nodeFor('linux-arm64')],
    slow: true,
  },
  {
    target: 'win32-x64-msvc',
    on: 'Node.js 20, wine',
    needs: () => wine() !== undefined,
    command: () => [wine(), nodeFor('win-x64', 'bin/node.exe')],
  },
];

function onPath(program) {
  return (process.env.PATH ?? '').split(':').some((folder) => existsSync(join(folder, program)));
}

function wine() {
  if (onPath('wine64')) return 'wine64';
  return existsSync('/usr/lib/wine/wine64') ? '/usr/lib/wine/wine64' : undefined;
}

/** As seen from scripts/vectors.mjs, so that another system finds it too. */
const LIBRARY = '../lib/index.js';
/** Of wine, that it says nothing of itself; of Node.js there, that it takes the Windows for new enough. */
const ENVIRONMENT = {
  CRYPTOTENSORS_ENGINE: '',
  WINEDEBUG: '-all',
  WINEPREFIX: join(cache, 'wine'),
  NODE_SKIP_PLATFORM_CHECK: '1',
};

/** @returns {{ on: string, passed: boolean, words: string }[]} for docs/platforms.md */
export function tryOut(target) {
  const file = join(prebuilds, fileOf(target));
  return WAYS.filter((way) => way.target === target.name && (way.needs === undefined || way.needs())).map((way) => {
    const [program, ...words] = way.command();
    // Under wine Node.js writes to files only.
    const output = join(cache, 'output.txt');
    const descriptor = openSync(output, 'w');
    const { error } = spawnSync(program, [...words, join(root, 'scripts/vectors.mjs'), LIBRARY], {
      cwd: root,
      stdio: ['ignore', descriptor, descriptor],
      timeout: 1_200_000,
      env: { ...process.env, ...ENVIRONMENT, CRYPTOTENSORS_NATIVE: file },
    });
    closeSync(descriptor);
    const said = readFileSync(output, 'utf8');
    const outcome = /^native: (\d+ valid and \d+ bad files), 0 answers wrong\r?$/m.exec(said)?.[1];
    const passed = outcome !== undefined;
    if (!passed) console.error(`${target.name}, ${way.on}:\n${said}${error ?? ''}`);
    return { on: way.on, passed, words: outcome ?? 'fails' };
  });
}
