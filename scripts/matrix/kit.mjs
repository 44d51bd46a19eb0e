// What the cells of the matrix share: the tarballs, an encrypted file with a policy, programs that open it, and a clean environment.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { pack } from '../pack.mjs';

export const root = join(import.meta.dirname, '../..');
const toolsFolder = join(root, '.cache/matrix/tools');

const POLICY = `package model
import rego.v1
default allow := false
allow if input.claims.customer == "acme"
`;

const BODY = `
  const options = { keys: process.env.MATRIX_KEYS, claims: { customer: 'acme' } };
  const file = await safeOpen(process.env.MATRIX_MODEL, options);
  const { bytes } = await file.getTensor('weights');
  await file.close();
  console.log('MATRIX ' + engineInfo().engine + ' ' + bytes.reduce((sum, byte) => sum + byte, 0));
`;
const NAMES = '{ engineInfo, safeOpen }';
const AS_TEST = (importing) => `${importing}\ntest('opens', async () => {${BODY}}, 60_000);\n`;

/** The same program, as each kind of file that a cell may need. */
const PROGRAMS = {
  'use.mjs': `import ${NAMES} from 'cryptotensors';\n${BODY}`,
  'use.cjs': `const ${NAMES} = require('cryptotensors');\n(async () => {${BODY}})();\n`,
  'use.mts': `import ${NAMES} from 'cryptotensors';\n${BODY.replace('keys: process.env.MATRIX_KEYS', "keys: process.env['MATRIX_KEYS']!").replace('process.env.MATRIX_MODEL', "process.env['MATRIX_MODEL']!").replace('(sum, byte)', '(sum: number, byte: number)')}\nexport {};\n`,
  'esm.test.mjs': AS_TEST(`import ${NAMES} from 'cryptotensors';`),
  'cjs.test.cjs': AS_TEST(`const ${NAMES} = require('cryptotensors');`),
  'vi.test.mjs': AS_TEST(`import { test } from 'vitest';\nimport ${NAMES} from 'cryptotensors';`),
  'package.json': '{ "name": "app", "private": true, "type": "module" }\n',
};

export class Kit {
  #folder = mkdtempSync(join(tmpdir(), 'cryptotensors-matrix-'));
  #bin = join(this.#folder, 'bin');
  #tarballs;

  constructor() {
    this.#tarballs = { true: this.#pack('with', true), false: this.#pack('without', false) };
    this.#makePath();
    this.#makeModel();
  }

  dispose() {
    rmSync(this.#folder, { recursive: true, force: true });
    rmSync(join(toolsFolder, `cells-${process.pid}`), { recursive: true, force: true });
  }

  tarball(addons) {
    return this.#tarballs[addons];
  }

  /** An empty folder with the programs. `near` the tools, for those that want to be found from there. */
  folder(name, { near = false } = {}) {
    const folder = join(
      near ? join(toolsFolder, `cells-${process.pid}`) : this.#folder,
      name.replace(/[^a-z0-9]+/gi, '-'),
    );
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    for (const [file, text] of Object.entries(PROGRAMS)) writeFileSync(join(folder, file), text);
    return folder;
  }

  /** The package, unpacked into node_modules as every package manager does it. */
  install(folder, addons) {
    const target = join(folder, 'node_modules/cryptotensors');
    mkdirSync(target, { recursive: true });
    this.must('tar', ['-xzf', this.tarball(addons), '-C', target, '--strip-components=1'], folder);
    return target;
  }

  /** @returns what a program said, on both streams, and its status */
  run(command, words, cwd, env = {}) {
    const { status, stdout, stderr, error } = spawnSync(command, words, {
      cwd,
      encoding: 'utf8',
      timeout: 300_000,
      maxBuffer: 2 ** 26,
      env: this.environment(env),
    });
    return { status: error ? -1 : status, out: `${stdout ?? ''}${stderr ?? ''}${error ? String(error) : ''}` };
  }

  /** @throws Error if it fails */
  must(command, words, cwd, env) {
    const result = this.run(command, words, cwd, env);
    if (result.status !== 0) throw new Error(`${[command, ...words].join(' ')}: ${result.out.slice(-2000)}`);
    return result;
  }

  /** No compiler, no Rust; nothing of the one who runs this but where to find packages. */
  environment(env) {
    const kept = Object.fromEntries(
      Object.entries(process.env).filter(([name]) =>
        /^(HOME|LANG|TMPDIR|npm_config_.*|NPM_CONFIG_.*|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE)$/i.test(
          name,
        ),
      ),
    );
    const [model, keys] = ['model.safetensors', 'keys.json'].map((file) => join(this.#folder, file));
    return { ...kept, PATH: this.#bin, MATRIX_MODEL: model, MATRIX_KEYS: keys, NEXT_TELEMETRY_DISABLED: '1', ...env };
  }

  /** The file of the addon for this platform, in an unpacked package. */
  addonIn(installed) {
    const glob = readdirOrNone(join(installed, 'prebuilds')).find(
      (name) => name.startsWith(`cryptotensors.${process.platform}-${process.arch}`) && !name.includes('musl'),
    );
    return glob === undefined ? undefined : join(installed, 'prebuilds', glob);
  }

  #pack(name, addons) {
    const folder = join(this.#folder, name);
    mkdirSync(folder);
    return pack(folder, { addons }).tarball;
  }

  #makePath() {
    mkdirSync(this.#bin);
    const found = (tool) =>
      process.env.PATH.split(delimiter)
        .map((at) => join(at, tool))
        .find((file) => existsSync(file));
    for (const tool of ['sh', 'bash', 'env', 'tar', 'gzip', 'cat', 'ls', 'mkdir', 'rm', 'uname', 'getconf', 'ldd']) {
      const file = found(tool);
      if (file !== undefined) symlinkSync(file, join(this.#bin, tool));
    }
    symlinkSync(process.execPath, join(this.#bin, 'node'));
    const npm = join(dirname(found('npm')), 'npm');
    symlinkSync(npm, join(this.#bin, 'npm'));
  }

  #makeModel() {
    const program = `
      import { writeFileSync } from 'node:fs';
      import { generateKeys, saveFile } from 'cryptotensors';
      const keys = generateKeys();
      writeFileSync('keys.json', JSON.stringify(keys));
      const weights = { dtype: 'U8', shape: [4], data: new Uint8Array([1, 2, 3, 4]) };
      await saveFile({ weights }, 'model.safetensors', { keys, policy: { local: ${JSON.stringify(POLICY)} } });
    `;
    this.install(this.#folder, true);
    this.must(process.execPath, ['--input-type=module', '--eval', program], this.#folder);
    rmSync(join(this.#folder, 'node_modules'), { recursive: true });
  }
}

function readdirOrNone(folder) {
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** The tools of scripts/matrix/tools.json, fetched once. */
export function tool(path) {
  const wanted = readFileSync(join(import.meta.dirname, 'tools.json'), 'utf8');
  const manifest = join(toolsFolder, 'package.json');
  const stamp = join(toolsFolder, '.installed');
  if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
    mkdirSync(toolsFolder, { recursive: true });
    writeFileSync(manifest, wanted);
    const words = ['install', '--no-audit', '--no-fund', '--ignore-scripts'];
    const { status, stderr } = spawnSync('npm', words, { cwd: toolsFolder, encoding: 'utf8' });
    if (status !== 0) throw new Error(`the tools of the matrix could not be installed:\n${stderr}`);
    writeFileSync(stamp, wanted);
  }
  return join(toolsFolder, 'node_modules', path);
}

/** The program of a tool's package. */
export function binOf(name, program = name) {
  const folder = tool(name);
  const { bin } = createRequire(import.meta.url)(join(folder, 'package.json'));
  return join(folder, typeof bin === 'string' ? bin : bin[program]);
}
