// The cells of the matrix: what users install, run and bundle the package with. Each gets the kit and whether the package has its
// addons, and gives what the program said.
import { copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runtime } from '../runtimes.mjs';
import { binOf, root, tool } from './kit.mjs';

const node = process.execPath;

/**
 * @typedef {object} Cell
 * @property {string} group
 * @property {string} name
 * @property {string} how      for the reader of docs/bundlers.md
 * @property {boolean} [quick] part of the short form
 * @property {string} [refusal] what the notice says where the addon cannot be had this way, even if the package has it
 * @property {(kit: import('./kit.mjs').Kit, addons: boolean, name: string) => { status: number, out: string }} run
 */

const installing = (name, how, install, { quick = false, start = [node] } = {}) => ({
  group: 'Package managers',
  name,
  how,
  quick,
  run: (kit, addons) => {
    const folder = kit.folder(`install ${name} ${addons}`);
    install(kit, folder, kit.tarball(addons));
    return kit.run(start[0], [...start.slice(1), 'use.mjs'], folder);
  },
});

const yarnCli = () => binOf('@yarnpkg/cli-dist', 'yarn');
const yarnEnvironment = (folder) => ({
  YARN_GLOBAL_FOLDER: join(folder, '.yarn-global'),
  YARN_ENABLE_GLOBAL_CACHE: 'false',
  YARN_ENABLE_TELEMETRY: 'false',
});
function yarn(linker, kit, folder, tarball) {
  writeFileSync(join(folder, '.yarnrc.yml'), `nodeLinker: ${linker}\nenableScripts: false\n`);
  writeFileSync(join(folder, 'yarn.lock'), '');
  kit.must(node, [yarnCli(), 'add', `cryptotensors@file:${tarball}`], folder, yarnEnvironment(folder));
}

/** @type {Cell[]} */
const packageManagers = [
  installing(
    'npm',
    '`npm install`, with `--ignore-scripts`',
    (kit, folder, tarball) =>
      kit.must('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', tarball], folder),
    { quick: true },
  ),
  installing('pnpm', '`pnpm add`', (kit, folder, tarball) =>
    kit.must(
      node,
      [tool('pnpm/bin/pnpm.mjs'), 'add', '--ignore-scripts', `--store-dir=${join(folder, '.store')}`, tarball],
      folder,
    ),
  ),
  installing('yarn, node_modules', '`nodeLinker: node-modules`', (kit, folder, tarball) =>
    yarn('node-modules', kit, folder, tarball),
  ),
  {
    group: 'Package managers',
    name: "yarn, Plug'n'Play",
    how: '`nodeLinker: pnp`; the package unplugs itself',
    run: (kit, addons) => {
      const folder = kit.folder(`install pnp ${addons}`);
      yarn('pnp', kit, folder, kit.tarball(addons));
      return kit.run(node, ['-r', './.pnp.cjs', '--experimental-loader', './.pnp.loader.mjs', 'use.mjs'], folder);
    },
  },
  installing('Bun', '`bun add`', (kit, folder, tarball) =>
    kit.must(runtime('bun'), ['add', '--ignore-scripts', tarball], folder),
  ),
  {
    group: 'Package managers',
    name: 'Deno',
    how: '`deno run -A --node-modules-dir=manual` on a `node_modules` (Deno installs no tarballs)',
    run: (kit, addons) => {
      const folder = kit.folder(`install deno ${addons}`);
      kit.install(folder, addons);
      return kit.run(runtime('deno'), ['run', '-A', '--node-modules-dir=manual', 'use.mjs'], folder);
    },
  },
];

/** With the package unpacked where it belongs. */
const running = (group, name, how, run, options = {}) => ({
  group,
  name,
  how,
  ...options,
  run: (kit, addons) => {
    const folder = kit.folder(`${group} ${name} ${addons}`, { near: options.near });
    return run(kit, folder, kit.install(folder, addons), addons);
  },
});

const vectors = (name, command, quick) =>
  running(
    'Runtimes',
    name,
    'all vectors, by `scripts/vectors.mjs`',
    (kit, folder, installed) => {
      const [program, ...words] = command();
      const { status, out } = kit.run(
        program,
        [...words, join(root, 'scripts/vectors.mjs'), join(installed, 'lib/index.js')],
        root,
      );
      const engine = /^(\w+): \d+ valid and \d+ bad files, 0 answers wrong$/m.exec(out)?.[1];
      return { status, out: `${out}\nMATRIX ${engine} 10\n` };
    },
    { quick },
  );

const node24 = () => runtime('node24');

const runtimes = [
  ...['node20', 'node22', 'node24', 'node26'].map((name) =>
    vectors(`Node.js ${name.slice(4)}`, () => [runtime(name)], name === 'node24'),
  ),
  vectors('Bun', () => [runtime('bun')]),
  vectors('Deno', () => [runtime('deno'), 'run', '-A']),
  running('Runtimes', "`require('cryptotensors')`", 'CommonJS', (kit, folder) => kit.run(node, ['use.cjs'], folder), {
    quick: true,
  }),
  running('Runtimes', '`--permission --allow-addons`', 'Node.js 24, with `--allow-fs-read=*`', (kit, folder) =>
    kit.run(node24(), ['--permission', '--allow-addons', '--allow-fs-read=*', 'use.mjs'], folder),
  ),
  running(
    'Runtimes',
    '`--permission`',
    'Node.js 24, without `--allow-addons`',
    (kit, folder) => kit.run(node24(), ['--permission', '--allow-fs-read=*', 'use.mjs'], folder),
    { refusal: 'with --allow-addons' },
  ),
  running('Runtimes', '`--no-addons`', '', (kit, folder) => kit.run(node, ['--no-addons', 'use.mjs'], folder), {
    refusal: 'without --no-addons',
    quick: true,
  }),
  running('Runtimes', 'no locked memory', '`ulimit -l 0`, as in many containers', (kit, folder) =>
    kit.run('sh', ['-c', 'ulimit -l 0; exec node use.mjs'], folder),
  ),
];

/** Where the bundle runs there is no node_modules. */
function moved(folder, ...files) {
  const target = `${folder}-moved`;
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const file of files) renameSync(join(folder, file), join(target, basename(file)));
  return target;
}

function esbuild(kit, folder, words) {
  kit.must(node, [binOf('esbuild'), '--bundle', '--platform=node', '--target=node20', ...words], folder);
}

const bundling = (name, how, run, options) => running('Bundlers', name, how, run, { near: true, ...options });

const ROLLUP_BUNDLED = `
import { nodeResolve } from ${JSON.stringify('@rollup/plugin-node-resolve')};
import commonjs from '@rollup/plugin-commonjs';
export default {
  input: 'use.mjs',
  output: { file: 'out/bundle.mjs', format: 'es' },
  external: [/^node:/, 'cryptotensors/package.json'],
  plugins: [nodeResolve({ exportConditions: ['node'] }), commonjs({ ignore: (id) => id.endsWith('.node') })],
};
`;
const WEBPACK_EXTERNAL = `
module.exports = {
  mode: 'production', target: 'node20', entry: './use.mjs',
  experiments: { outputModule: true },
  output: { path: __dirname + '/out', filename: 'bundle.mjs', module: true, library: { type: 'module' } },
  externals: { cryptotensors: 'module cryptotensors' },
};
`;
const WEBPACK_BUNDLED = `
module.exports = {
  mode: 'production', target: 'node20', entry: './use.cjs', node: { __dirname: false },
  output: { path: __dirname + '/out', filename: 'bundle.cjs' },
  module: { rules: [{ test: /\\.node$/, loader: 'node-loader', options: { name: '[name].[ext]' } }] },
};
`;
const NEXT_FILES = {
  'next.config.mjs':
    "export default { output: 'standalone', serverExternalPackages: ['cryptotensors'], outputFileTracingRoot: import.meta.dirname };\n",
  'app/layout.js': 'export default function Layout({ children }) { return <html><body>{children}</body></html>; }\n',
  'app/api/route.js': `
import { engineInfo, safeOpen } from 'cryptotensors';
export const dynamic = 'force-dynamic';
export async function GET() {
  const file = await safeOpen(process.env.MATRIX_MODEL, { keys: process.env.MATRIX_KEYS, claims: { customer: 'acme' } });
  const { bytes } = await file.getTensor('weights');
  await file.close();
  return new Response('MATRIX ' + engineInfo().engine + ' ' + bytes.reduce((sum, byte) => sum + byte, 0) + '\\n');
}
`,
  'ask.mjs': `
process.env.PORT = '38417'; process.env.HOSTNAME = '127.0.0.1';
await import(process.argv[2]);
for (let i = 0; i < 100; i++) {
  await new Promise((resolve) => setTimeout(resolve, 300));
  const answer = await fetch('http://127.0.0.1:38417/api').then((response) => response.text(), () => undefined);
  if (answer !== undefined) { console.log(answer.slice(0, 500)); process.exit(0); }
}
process.exit(1);
`,
};

const bundlers = [
  bundling(
    'esbuild, external',
    '`--external:cryptotensors`: recommended',
    (kit, folder) => {
      esbuild(kit, folder, ['--format=esm', '--external:cryptotensors', '--outfile=out/bundle.mjs', 'use.mjs']);
      return kit.run(node, ['out/bundle.mjs'], folder);
    },
    { quick: true },
  ),
  bundling(
    'esbuild, CommonJS',
    '`--format=cjs --loader:.node=copy`: the addons lie beside the bundle',
    (kit, folder) => {
      esbuild(kit, folder, [
        '--format=cjs',
        '--loader:.node=copy',
        '--outdir=out',
        '--out-extension:.js=.cjs',
        'use.cjs',
      ]);
      return kit.run(node, ['use.cjs'], moved(folder, 'out') + '/out');
    },
    { quick: true },
  ),
  bundling(
    'esbuild, ES module',
    '`--format=esm --loader:.node=copy`: there is no `require`, unless a banner defines it (next line)',
    (kit, folder) => {
      esbuild(kit, folder, [
        '--format=esm',
        '--loader:.node=copy',
        '--outdir=out',
        '--out-extension:.js=.mjs',
        'use.mjs',
      ]);
      return kit.run(node, ['use.mjs'], moved(folder, 'out') + '/out');
    },
    { refusal: 'leave cryptotensors external' },
  ),
  bundling(
    'esbuild, ES module with `require`',
    '`--banner:js="import { createRequire } from \'node:module\'; const require = createRequire(import.meta.url);"` too',
    (kit, folder) => {
      const banner =
        "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);";
      esbuild(kit, folder, [
        '--format=esm',
        '--loader:.node=copy',
        '--outdir=out',
        '--out-extension:.js=.mjs',
        `--banner:js=${banner}`,
        'use.mjs',
      ]);
      return kit.run(node, ['use.mjs'], moved(folder, 'out') + '/out');
    },
  ),
  bundling('Rollup, external', "`external: ['cryptotensors']`: recommended", (kit, folder) => {
    kit.must(node, [binOf('rollup'), '-e', 'cryptotensors', '-f', 'es', '-o', 'out/bundle.mjs', 'use.mjs'], folder);
    return kit.run(node, ['out/bundle.mjs'], folder);
  }),
  bundling(
    'Rollup, bundled',
    "`commonjs({ ignore: (id) => id.endsWith('.node') })`, and `CRYPTOTENSORS_NATIVE` names the file",
    (kit, folder, installed) => {
      writeFileSync(join(folder, 'rollup.config.mjs'), ROLLUP_BUNDLED);
      kit.must(node, [binOf('rollup'), '-c'], folder);
      return kit.run(node, ['bundle.mjs'], moved(folder, 'out') + '/out', {
        CRYPTOTENSORS_NATIVE: kit.addonIn(installed) ?? '',
      });
    },
  ),
  bundling(
    'webpack, external',
    "`externals: { cryptotensors: 'module cryptotensors' }`: recommended",
    (kit, folder) => {
      writeFileSync(join(folder, 'webpack.config.cjs'), WEBPACK_EXTERNAL);
      kit.must(node, [join(root, 'scripts/matrix/webpack.mjs'), tool('webpack'), folder], folder);
      return kit.run(node, ['out/bundle.mjs'], folder);
    },
  ),
  bundling(
    'webpack, bundled',
    '`target: node`, CommonJS, `node: { __dirname: false }`, `node-loader` for `.node` files',
    (kit, folder) => {
      writeFileSync(join(folder, 'webpack.config.cjs'), WEBPACK_BUNDLED);
      kit.must(node, [join(root, 'scripts/matrix/webpack.mjs'), tool('webpack'), folder], folder);
      return kit.run(node, ['bundle.cjs'], `${moved(folder, 'out')}/out`);
    },
  ),
  bundling('Vite SSR', '`vite build --ssr`, which leaves packages external', (kit, folder) => {
    kit.must(node, [binOf('vite'), 'build', '--ssr', 'use.mjs', '--outDir', 'out'], folder);
    return kit.run('sh', ['-c', 'exec node out/use.*js'], folder);
  }),
  bundling(
    'Next.js, standalone',
    "`output: 'standalone', serverExternalPackages: ['cryptotensors']`",
    (kit, folder) => {
      mkdirSync(join(folder, 'app/api'), { recursive: true });
      for (const [file, text] of Object.entries(NEXT_FILES)) writeFileSync(join(folder, file), text);
      kit.must(node24(), [binOf('next'), 'build', '--webpack'], folder);
      const target = moved(folder, '.next/standalone');
      return kit.run(node24(), [join(folder, 'ask.mjs'), join(target, 'standalone/server.js')], target);
    },
  ),
  bundling('`bun build --compile`', 'the addon is inside the executable', (kit, folder) => {
    kit.must(runtime('bun'), ['build', '--compile', '--outfile', 'app', 'use.mjs'], folder);
    return kit.run('./app', [], moved(folder, 'app'));
  }),
  bundling(
    'Node.js single executable',
    'esbuild to CommonJS with `--external:*.node`, postject; `CRYPTOTENSORS_NATIVE` names the file',
    (kit, folder, installed) => {
      esbuild(kit, folder, ['--format=cjs', '--external:*.node', '--outfile=bundle.cjs', 'use.cjs']);
      writeFileSync(
        join(folder, 'sea.json'),
        JSON.stringify({ main: 'bundle.cjs', output: 'app.blob', disableExperimentalSEAWarning: true }),
      );
      kit.must(node24(), ['--experimental-sea-config', 'sea.json'], folder);
      copyFileSync(node24(), join(folder, 'app'));
      kit.must(
        node,
        [
          binOf('postject'),
          'app',
          'NODE_SEA_BLOB',
          'app.blob',
          '--sentinel-fuse',
          'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
        ],
        folder,
      );
      return kit.run('./app', [], moved(folder, 'app'), { CRYPTOTENSORS_NATIVE: kit.addonIn(installed) ?? '' });
    },
  ),
];

const testing = (name, how, run, options) =>
  running('Test runners and TypeScript', name, how, run, { near: true, ...options });
const jestConfig = (pattern) => [
  '--runInBand',
  '--silent=false',
  '--config',
  JSON.stringify({
    testMatch: [`**/${pattern}`],
    transform: {},
    testEnvironment: 'node',
    haste: { enableSymlinks: false },
  }),
];
const vitest = (pool, quick) =>
  testing(
    `Vitest, \`${pool}\``,
    '',
    (kit, folder) => {
      writeFileSync(join(folder, 'vitest.config.mjs'), "export default { test: { include: ['vi.test.mjs'] } };\n");
      return kit.run(node, [binOf('vitest'), 'run', `--pool=${pool}`, '--config', 'vitest.config.mjs'], folder);
    },
    { quick },
  );

const testRunners = [
  testing(
    'Jest, ES modules',
    '`--experimental-vm-modules`',
    (kit, folder) => kit.run(node, ['--experimental-vm-modules', binOf('jest'), ...jestConfig('esm.test.mjs')], folder),
    { quick: true },
  ),
  testing(
    'Jest, CommonJS',
    '',
    (kit, folder) => kit.run(node, [binOf('jest'), ...jestConfig('cjs.test.cjs')], folder),
    { quick: true },
  ),
  vitest('forks', true),
  vitest('threads', false),
  vitest('vmForks', false),
  vitest('vmThreads', true),
  testing('tsx', '', (kit, folder) => kit.run(node, [binOf('tsx'), 'use.mts'], folder)),
  testing('ts-node', '`node --loader ts-node/esm`, `module: nodenext`', (kit, folder) => {
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: { module: 'nodenext', target: 'es2022', skipLibCheck: true, types: [] },
        'ts-node': { transpileOnly: true },
      }),
    );
    return kit.run(node, ['--loader', tool('ts-node/esm.mjs'), 'use.mts'], folder);
  }),
];

export const cells = [...packageManagers, ...runtimes, ...bundlers, ...testRunners];
