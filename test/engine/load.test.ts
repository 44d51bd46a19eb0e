import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { engineInfo, getEngine } from '#dist/engine/load.js';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = temporaryFolder();

/** What `getEngine()` of a copy of the package says in a fresh process. */
function load(
  distribution: string,
  env: Record<string, string> = {},
): { code?: string; message?: string; engine?: string; aead?: Record<string, string> } {
  const script = `
    const { getEngine } = await import(${JSON.stringify(pathToFileURL(join(distribution, 'engine/load.js')).href)});
    try { console.log(JSON.stringify(getEngine().info())); }
    catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })); }
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    env: { ...process.env, ...env },
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as ReturnType<typeof load>;
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

  it('chooses the engine on node:crypto', () => {
    const info = load(dist, { CRYPTOTENSORS_ENGINE: 'node' });
    expect(info.engine).toBe('node');
    expect(info.aead).toEqual({ aes128gcm: 'node', aes256gcm: 'node', chacha20poly1305: 'node' });
  });

  it('refuses anything else', () => {
    expect(load(dist, { CRYPTOTENSORS_ENGINE: 'rong' })).toEqual({
      code: 'InvalidOption',
      message: 'CRYPTOTENSORS_ENGINE must be openssl, ring, node or auto, not "rong"',
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

  it('falls back to the engine on node:crypto, without a word', () => {
    const { dist } = install('fallback');
    expect(load(dist).engine).toBe('node');
    expect(load(dist, { CRYPTOTENSORS_ENGINE: 'auto' }).engine).toBe('node');
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
    expect(load(dist).engine).toBe('node');
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
    expect(load(dist).engine).toBe('native');
  });
});

it('is loaded once', () => {
  expect(getEngine()).toBe(getEngine());
  const { engine, openssl, ring, blake3, threads } = engineInfo();
  expect(engine).toBe('native');
  expect(openssl === null || openssl.startsWith('OpenSSL ')).toBe(true);
  expect(ring).toMatch(/^\d+\.\d+\.\d+$/);
  expect(blake3).toMatch(/^\d+\.\d+\.\d+$/);
  expect(threads).toBeGreaterThan(0);
});
