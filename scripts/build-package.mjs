// Bundles what npm ships into lib/: few files per entry point, as ES modules and as CommonJS, with source maps and types.
//
//   node scripts/build-package.mjs              all of it
//   node scripts/build-package.mjs --code-only  without types, in a second: what examples and benchmarks of a checkout run
//   node scripts/build-package.mjs --out FOLDER into another folder
//
// What src/ needs of other packages is bundled along: an installed copy has no dependencies. It starts faster so, and CommonJS can
// use libraries that are ES modules only, in Jest too. lib/licenses.txt has their licences. dist/ is made first (build-ts.mjs).
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { rolldown } from 'rolldown';

const root = join(import.meta.dirname, '..');
const { values: options } = parseArgs({ options: { 'code-only': { type: 'boolean' }, out: { type: 'string' } } });
const output = resolve(options.out ?? join(root, 'lib'));
const entries = ['index', 'aws-kms', 'pkcs11'];

/**
 * CommonJS files beside the bundles of both formats: what loads addons by `require`, and the policy engine, which would be in the
 * package twice. What is written of each, from what it is in dist/.
 */
const APART = {
  'addon-file.cjs': () => withoutMap(read('dist/engine/addon-file.cjs')).replaceAll("'../../", "'../"),
  'policy-engine.cjs': () => read('dist/policy/engine-bytes.js').replaceAll('export const ', 'exports.'),
};
const APART_NAMES = { 'addon-file.cjs': 'addon-file.cjs', 'engine-bytes.js': 'policy-engine.cjs' };

const EXTERNAL = [/^node:/, ...builtinModules, '@aws-sdk/client-kms', 'pkcs11js', 'cryptotensors/package.json'];

const apart = {
  name: 'apart',
  resolveId(specifier) {
    const name = APART_NAMES[basename(specifier)];
    return name === undefined ? null : { id: `./${name}`, external: true };
  },
};

function read(path) {
  return readFileSync(join(root, path), 'utf8');
}

function withoutMap(code) {
  return code.replace(/^\/\/# sourceMappingURL=.*\n?/m, '');
}

/** @returns the folders of the packages that were bundled along */
async function bundle(names, format) {
  const ending = format === 'es' ? 'js' : 'cjs';
  const build = await rolldown({
    cwd: root,
    input: Object.fromEntries(names.map((name) => [name, `src/${name === 'cli' ? 'cli/main' : name}.ts`])),
    platform: 'node',
    external: EXTERNAL,
    resolve: { extensionAlias: { '.js': ['.ts', '.js'] } },
    plugins: [apart],
    tsconfig: join(root, 'tsconfig.json'),
  });
  const { output: chunks } = await build.write({
    dir: output,
    format,
    sourcemap: true,
    // As seen from lib/, wherever this is written to.
    sourcemapPathTransform: (source, map) => relative(join(root, 'lib'), join(dirname(map), source)),
    entryFileNames: `[name].${ending}`,
    chunkFileNames: `[name].${ending}`,
    // Whoever uses one entry point uses the library: one file, instead of one for each way to share.
    codeSplitting: { groups: [{ name: 'library', test: /\/src\/(?!cli\/|(aws-kms|pkcs11)\.ts)/ }] },
  });
  await build.close();
  const modules = chunks.flatMap((chunk) => chunk.moduleIds ?? []);
  return modules.map((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id)?.[0]).filter((path) => path);
}

async function types() {
  const { rollup } = await import('rollup');
  const { dts } = await import('rollup-plugin-dts');
  const build = await rollup({
    input: Object.fromEntries(entries.map((name) => [name, join(root, `dist/${name}.d.ts`)])),
    external: EXTERNAL,
    plugins: [dts()],
    // What the entry points share and do not export stays private.
    onLog: (level, log, handle) => log.message.includes('private shared type exports') || handle(level, log),
  });
  await build.write({ dir: output, format: 'es', entryFileNames: '[name].d.ts', chunkFileNames: 'types.d.ts' });
  await build.close();
  // What CommonJS gets is the same, by another ending.
  for (const name of readdirSync(output).filter((file) => file.endsWith('.d.ts'))) {
    const text = readFileSync(join(output, name), 'utf8').replace(/(from ["']\.\/[^"']+)\.js(["'])/g, '$1.cjs$2');
    writeFileSync(join(output, name.replace(/\.ts$/, '.cts')), text);
  }
}

/** The licence texts of packages, each with its name and version. */
function licences(folders) {
  const texts = [...new Set(folders)].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${name} has no licence file`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  });
  const rule = `\n${'-'.repeat(80)}\n\n`;
  return `The files in this folder contain parts of these packages.\n${rule}${texts.join(rule)}${rule}${read('dist/policy/policy.wasm.licenses.txt')}`;
}

rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
const bundled = [...(await bundle([...entries, 'cli'], 'es')), ...(await bundle(entries, 'cjs'))];
for (const [name, text] of Object.entries(APART)) writeFileSync(join(output, name), text());
writeFileSync(join(output, 'licenses.txt'), licences(bundled));
chmodSync(join(output, 'cli.js'), 0o755);
if (!options['code-only']) await types();
