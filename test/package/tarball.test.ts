import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { pack } from '../../scripts/pack.mjs';
import type { Packed } from '../../scripts/pack.mjs';
import { temporaryFolder } from '../support/temporary.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = temporaryFolder();
const app = join(folder, 'app');
const MOST_BYTES = 8_000_000;

let packed: Packed;

function run(
  command: string,
  words: string[],
  env: Record<string, string> = {},
): { status: number | null; out: string } {
  const options = { cwd: app, encoding: 'utf8', env: { ...process.env, CRYPTOTENSORS_ENGINE: '', ...env } } as const;
  const { status, stdout, stderr } = spawnSync(command, words, options);
  return { status, out: stdout + stderr };
}

function tool(path: string): string {
  return join(root, 'node_modules', path);
}

beforeAll(() => {
  packed = pack(folder);
  const installed = join(app, 'node_modules/cryptotensors');
  mkdirSync(installed, { recursive: true });
  expect(run('tar', ['-xzf', packed.tarball, '-C', installed, '--strip-components=1']).status).toBe(0);
  // For compilers that look at the types.
  symlinkSync(join(root, 'node_modules/@types'), join(app, 'node_modules/@types'), 'junction');
  symlinkSync(join(root, 'node_modules/undici-types'), join(app, 'node_modules/undici-types'), 'junction');
});

it('holds what users need and nothing else', () => {
  const list = packed.files.map((file) => file.path);
  const code = ['index', 'library', 'aws-kms', 'pkcs11', 'webapi', 'rolldown-runtime'];
  const expected = [
    ...code.flatMap((name) => [`lib/${name}.js`, `lib/${name}.cjs`]),
    ...['library', 'aws-kms', 'pkcs11', 'webapi'].flatMap((name) => [`lib/${name}.js.map`, `lib/${name}.cjs.map`]),
    ...['lib/cli.js', 'lib/cli.js.map', 'lib/addon-file.cjs', 'lib/policy-engine.cjs', 'lib/licenses.txt'],
    ...['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'],
  ];
  const types = list.filter((path) => /^lib\/[a-z0-9-]+\.d\.c?ts$/.test(path));
  for (const name of ['index', 'aws-kms', 'pkcs11']) {
    expect(types).toEqual(expect.arrayContaining([`lib/${name}.d.ts`, `lib/${name}.d.cts`]));
  }
  expect(types.length).toBeLessThanOrEqual(12);
  const rest = list.filter(
    (path) =>
      !types.includes(path) &&
      !/^docs\/[a-z-]+\.md$/.test(path) &&
      !/^prebuilds\/cryptotensors\.[a-z0-9-]+\.node$/.test(path),
  );
  expect(rest.sort()).toEqual(expected.sort());
  expect(packed.size).toBeLessThanOrEqual(MOST_BYTES);
  expect(packed.files.find((file) => file.path === 'lib/cli.js')!.mode & 0o111).toBe(0o111);
});

it('has source maps that hold their sources, and no path of the machine that built it', () => {
  for (const { path } of packed.files) {
    const text = readFileSync(join(app, 'node_modules/cryptotensors', path), 'latin1');
    expect(text.includes(root), path).toBe(false);
    if (!path.endsWith('.map')) continue;
    const map = JSON.parse(text) as { sources: string[]; sourcesContent?: (string | null)[] };
    expect(map.sourcesContent?.length, path).toBe(map.sources.length);
    expect(map.sourcesContent).not.toContain(null);
  }
});

it('has no link that leads nowhere', () => {
  const inside = (path: string) => join(app, 'node_modules/cryptotensors', path);
  for (const { path } of packed.files.filter((file) => file.path.endsWith('.md'))) {
    const text = readFileSync(inside(path), 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)/g)) {
      expect(existsSync(inside(join(path, '..', target!))), `${path}: ${target}`).toBe(true);
    }
  }
});

it('satisfies publint and are-the-types-wrong', () => {
  const publint = run(process.execPath, [tool('publint/src/cli.js'), 'run', packed.tarball, '--strict']);
  expect(publint, publint.out).toMatchObject({ status: 0 });
  const attw = run(process.execPath, [
    tool('@arethetypeswrong/cli/dist/index.js'),
    packed.tarball,
    '--profile',
    'node16',
  ]);
  expect(attw, attw.out).toMatchObject({ status: 0 });
});

it('is imported and required, and both tell the types of what they give', () => {
  const names = '{ safeOpen, engineInfo, generateKeys, CryptoTensorsError }';
  const program = `
    const info: EngineInfo = engineInfo();
    const refused = safeOpen('nothing.safetensors').then(
      (file: SafeFile) => file.close(),
      (error: unknown) => console.log(info.engine, error instanceof CryptoTensorsError && error.code, generateKeys().keys.length),
    );
    void refused;
    // @ts-expect-error -- the path is missing
    void (() => safeOpen());
  `;
  const types = "import type { EngineInfo, SafeFile } from 'cryptotensors';\nvoid pkcs11KeyProvider;\n";
  writeFileSync(
    join(app, 'esm.mts'),
    `import ${names} from 'cryptotensors';\nimport { pkcs11KeyProvider } from 'cryptotensors/pkcs11';\n${types}${program}`,
  );
  writeFileSync(
    join(app, 'cjs.cts'),
    `import library = require('cryptotensors');\nimport { pkcs11KeyProvider } from 'cryptotensors/pkcs11';\n${types}const ${names} = library;\n${program}`,
  );
  const compilerOptions = {
    module: 'nodenext',
    strict: true,
    types: ['node'],
    lib: ['ES2023', 'ESNext.Disposable'],
    outDir: 'out',
    skipLibCheck: false,
  };
  writeFileSync(join(app, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['esm.mts', 'cjs.cts'] }));
  const compiled = run(process.execPath, [tool('typescript/lib/tsc.js')]);
  expect(compiled, compiled.out).toMatchObject({ status: 0 });
  for (const file of ['out/esm.mjs', 'out/cjs.cjs']) {
    expect(
      run(process.execPath, [file], { CRYPTOTENSORS_NATIVE: join(root, 'build/Release/cryptotensors.node') }),
    ).toEqual({
      status: 0,
      out: 'native FileError 2\n',
    });
  }
});
