import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { engineInfo, getEngine } from '#dist/engine/load.js';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = temporaryFolder();

/** What `engineInfo()` of a copy of the package says in a fresh process, and what that process writes to stderr. */
function load(
  distribution: string,
  env: Record<string, string> = {},
): {
  code?: string;
  message?: string;
  engine?: string;
  fallback?: string | null;
  aead?: Record<string, string>;
  stderr: string;
} {
  return run(
    `
    const { engineInfo } = await import(${JSON.stringify(pathToFileURL(join(distribution, 'engine/load.js')).href)});
    try { console.log(JSON.stringify(engineInfo())); }
    catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })); }
  `,
    env,
  );
}

function run(script: string, env: Record<string, string>): ReturnType<typeof load> {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    env: { ...process.env, CRYPTOTENSORS_ENGINE: '', ...env },
    encoding: 'utf8',
  });
  return { ...(JSON.parse(stdout) as object), stderr };
}

describe('CRYPTOTENSORS_ENGINE', () => {
  const dist = join(root, 'dist');

  it('chooses the provider', () => {
    const all = (provider: string) => ({ aes128gcm: provider, aes256gcm: provider, chacha20poly1305: provider });
    expect(load(dist, { CRYPTOTENSORS_ENGINE: 'ring' }).aead).toEqual(all('ring'));
    expect(load(dist, { CRYPTOTENSORS_ENGINE: 'openssl' }).aead).toEqual(all('openssl'));
    for (const name of ['auto', '']) {
      for (const provider of Object.values(load(dist, { CRYPTOTENSORS_ENGINE: name }).aead!)) {
        expect(['ring', 'openssl']).toContain(provider);
      }
    }
  });

  it('chooses the portable engine', () => {
    const info = load(dist, { CRYPTOTENSORS_ENGINE: 'portable' });
    expect(info.engine).toBe('portable');
    expect(info.fallback).toBeNull();
    expect(info.stderr).toBe('');
    expect(info.aead).toEqual({ aes128gcm: 'node:crypto', aes256gcm: 'node:crypto', chacha20poly1305: 'node:crypto' });
  });

  it("is the process's: what a worker has in its own environment changes nothing, whoever loads first", () => {
    const url = JSON.stringify(pathToFileURL(join(dist, 'engine/load.js')).href);
    const worker = `
      const { parentPort } = require('node:worker_threads');
      import(${url}).then(({ engineInfo }) => parentPort.postMessage(engineInfo()))`;
    for (const first of ['main', 'worker']) {
      const info = run(
        `
        import { once } from 'node:events';
        import { Worker } from 'node:worker_threads';
        const { engineInfo } = await import(${url});
        const first = ${JSON.stringify(first)};
        if (first === 'main') engineInfo();
        const env = { CRYPTOTENSORS_ENGINE: 'ring' };
        const [inWorker] = await once(new Worker(${JSON.stringify(worker)}, { eval: true, env, execArgv: [] }), 'message');
        console.log(JSON.stringify({ aead: { main: engineInfo().aead.aes256gcm, worker: inWorker.aead.aes256gcm } }));
        `,
        { CRYPTOTENSORS_ENGINE: 'openssl' },
      );
      expect(info.aead, `${first} first`).toEqual({ main: 'openssl', worker: 'openssl' });
    }
  });

  it('refuses anything else', () => {
    expect(load(dist, { CRYPTOTENSORS_ENGINE: 'rong' })).toEqual({
      code: 'InvalidOption',
      message: 'CRYPTOTENSORS_ENGINE must be openssl, ring, portable or auto, not "rong"',
      stderr: '',
    });
  });
});

describe('a package without its addon', () => {
  const RING = { CRYPTOTENSORS_ENGINE: 'ring' };

  /** A copy of the package as it is installed: no build folder, no package for the platform. */
  function install(name: string): { dist: string; modules: string } {
    const copy = join(folder, name);
    cpSync(join(root, 'dist'), join(copy, 'dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(copy, 'package.json'));
    const modules = join(copy, 'node_modules');
    mkdirSync(modules);
    symlinkSync(join(root, 'node_modules/@noble'), join(modules, '@noble'), 'junction');
    return { dist: join(copy, 'dist'), modules };
  }

  it('falls back to the portable engine, and warns of it', () => {
    const { dist } = install('fallback');
    for (const choice of ['', 'auto']) {
      const { engine, fallback, stderr } = load(dist, { CRYPTOTENSORS_ENGINE: choice });
      expect(engine).toBe('portable');
      expect(fallback).toMatch(/^the package cryptotensors-\S+ is not installed$/);
      expect(stderr).toContain('[CRYPTOTENSORS_FALLBACK] CryptoTensorsWarning');
      expect(stderr).toContain(fallback);
      expect(stderr).toContain('CRYPTOTENSORS_ENGINE=portable');
    }
  });

  it('is silent where that engine was chosen', () => {
    const { engine, fallback, stderr } = load(install('chosen').dist, { CRYPTOTENSORS_ENGINE: 'portable' });
    expect({ engine, fallback, stderr }).toEqual({ engine: 'portable', fallback: null, stderr: '' });
  });

  it('warns once in a process, whatever its threads do', () => {
    const url = JSON.stringify(pathToFileURL(join(install('threads').dist, 'engine/load.js')).href);
    const { stderr } = run(
      `
      import { Worker } from 'node:worker_threads';
      const { engineInfo } = await import(${url});
      engineInfo();
      const source = 'import(' + JSON.stringify(${url}) + ').then(({ engineInfo }) => engineInfo())';
      for (let i = 0; i < 2; i++) await new Promise((resolve) => new Worker(source, { eval: true }).once('exit', resolve));
      console.log(JSON.stringify(engineInfo()));
    `,
      {},
    );
    expect(stderr.match(/CRYPTOTENSORS_FALLBACK/g)).toHaveLength(1);
  });

  it('loads where there is no createRequire, as in bundles and vm contexts', () => {
    const { dist } = install('static');
    const text = readFileSync(join(dist, 'engine/load.js'), 'utf8');
    expect(text).not.toContain('node:module');
    // What loads addons is CommonJS, with literal paths only: those that bundlers and file tracers can follow.
    const loader = readFileSync(join(dist, 'engine/addon-file.cjs'), 'utf8');
    const required = [...loader.matchAll(/\brequire\(([^)]*)\)/g)].map(([, argument]) => argument!);
    expect(required).toContain(`'cryptotensors-linux-x64-gnu'`);
    for (const argument of required) expect(argument).toMatch(/^'[^']+'$/);
  });

  it('says which package is missing, and what to do, to who asks for it', () => {
    const { code, message } = load(install('missing').dist, RING);
    expect(code).toBe('NativeUnavailable');
    expect(message).toMatch(
      new RegExp(`the package cryptotensors-${process.platform}-${process.arch}\\S* is not installed`),
    );
    expect(message).toContain('npm install --include=optional');
    expect(message).toContain('npm run build:native');
  });

  it('says why one that is there does not load', () => {
    const { dist } = install('broken');
    mkdirSync(join(dist, '../build/Release'), { recursive: true });
    writeFileSync(join(dist, '../build/Release/cryptotensors.node'), 'not a library');
    const { engine, fallback, stderr } = load(dist);
    expect(engine).toBe('portable');
    expect(fallback).toContain('build/Release/cryptotensors.node: ');
    expect(stderr).toContain(fallback);
    const { code, message } = load(dist, RING);
    expect(code).toBe('NativeUnavailable');
    expect(message).toContain('build/Release/cryptotensors.node');
  });

  it.skipIf(process.platform !== 'linux')('takes it from the package for the platform', () => {
    const { dist, modules } = install('prebuilt');
    const name = /the package (\S+) is/.exec(load(dist, RING).message!)![1]!;
    mkdirSync(join(modules, name), { recursive: true });
    symlinkSync(join(root, 'build/Release/cryptotensors.node'), join(modules, name, 'cryptotensors.node'));
    writeFileSync(join(modules, name, 'package.json'), JSON.stringify({ name, main: 'cryptotensors.node' }));
    expect(load(dist)).toMatchObject({ engine: 'native', fallback: null, stderr: '' });
  });
});

it('is loaded once', () => {
  expect(getEngine()).toBe(getEngine());
  const { engine, fallback, openssl, ring, blake3, threads } = engineInfo();
  expect(engine).toBe('native');
  expect(fallback).toBeNull();
  expect(openssl === null || openssl.startsWith('OpenSSL ')).toBe(true);
  expect(ring).toMatch(/^\d+\.\d+\.\d+$/);
  expect(blake3).toMatch(/^\d+\.\d+\.\d+$/);
  expect(threads).toBeGreaterThan(0);
});
