import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { adviceFor } from '#dist/engine/find-addon.js';
import { libc } from '#dist/engine/libc.js';
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
  addon?: string | null;
  tried?: { addon: string; reason: string }[];
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
    env: { ...process.env, CRYPTOTENSORS_ENGINE: '', CRYPTOTENSORS_NATIVE: '', ...env },
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

  it.each(['gcm', 'SGVsbG8gd29ybGQsIHRoaXMgaXMgYSBrZXkhISEhISE'])('refuses %j, and repeats no key', (name) => {
    const child = spawnSync(process.execPath, ['--input-type=module', '--eval', `
      import { engineInfo } from ${JSON.stringify(pathToFileURL(join(dist, 'engine/load.js')).href)};
      try { engineInfo(); } catch (error) { console.log(JSON.stringify({ ...error, message: error.message })); }`], { env: { ...process.env, CRYPTOTENSORS_ENGINE: name }, encoding: 'utf8' }); // prettier-ignore
    const error = JSON.parse(child.stdout) as Record<string, string>;
    expect(error.code).toBe('InvalidOption');
    expect(error.message).toMatch(/^CRYPTOTENSORS_ENGINE must be openssl, ring, portable or auto, not /);
    expect(child.stdout.includes(name)).toBe(name === 'gcm');
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
  const addon = join(root, 'build/Release/cryptotensors.node');

  /** A copy of the package as it is installed: no sources, no build folder, and no addon for the platform yet. */
  function install(name: string): { dist: string; prebuilds: string } {
    const copy = join(folder, name);
    cpSync(join(root, 'dist'), join(copy, 'dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(copy, 'package.json'));
    mkdirSync(join(copy, 'node_modules'));
    symlinkSync(join(root, 'node_modules/@noble'), join(copy, 'node_modules/@noble'), 'junction');
    mkdirSync(join(copy, 'prebuilds'));
    return { dist: join(copy, 'dist'), prebuilds: join(copy, 'prebuilds') };
  }

  /** The path of the file that the package would bring for this platform. */
  function expectedFile({ dist, prebuilds }: ReturnType<typeof install>): string {
    return join(prebuilds, '..', load(dist).tried!.at(-1)!.addon);
  }

  it('falls back to the portable engine, warns of it, and keeps the reasons', () => {
    const { dist } = install('fallback');
    for (const choice of ['', 'auto']) {
      const { engine, fallback, addon: from, tried, stderr } = load(dist, { CRYPTOTENSORS_ENGINE: choice });
      expect(engine).toBe('portable');
      expect(from).toBeNull();
      expect(tried).toHaveLength(1);
      expect(tried![0]!.addon).toMatch(
        new RegExp(`^prebuilds/cryptotensors\\.${process.platform}-${process.arch}\\S*\\.node$`),
      );
      expect(fallback).toBe(`${tried![0]!.addon}: ${tried![0]!.reason}`);
      expect(stderr).toContain('[CRYPTOTENSORS_FALLBACK] CryptoTensorsWarning');
      expect(stderr).toContain(fallback);
      expect(stderr).toContain('docs/bundlers.md');
      expect(stderr).toContain('CRYPTOTENSORS_ENGINE=portable');
    }
  });

  it('is silent where that engine was chosen', () => {
    const { engine, fallback, tried, stderr } = load(install('chosen').dist, { CRYPTOTENSORS_ENGINE: 'portable' });
    expect({ engine, fallback, tried, stderr }).toEqual({ engine: 'portable', fallback: null, tried: [], stderr: '' });
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
    for (const file of ['load.js', 'find-addon.js']) {
      expect(readFileSync(join(dist, 'engine', file), 'utf8')).not.toContain('node:module');
    }
    // What loads addons is CommonJS, with literal paths only: those that bundlers and file tracers can follow.
    const loader = readFileSync(join(dist, 'engine/addon-file.cjs'), 'utf8');
    const required = [...loader.matchAll(/\brequire\(([^)]*)\)/g)].map(([, argument]) => argument!);
    for (const argument of required) expect(argument).toMatch(/^["'][^"']+["']$/);
    const { napi } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { napi: { targets: string[] } };
    expect(required.filter((argument) => argument.includes('prebuilds/'))).toHaveLength(napi.targets.length);
  });

  it('says what is missing, and what to do, to who asks for it', () => {
    const { code, message } = load(install('missing').dist, RING);
    expect(code).toBe('NativeUnavailable');
    expect(message).toContain(`prebuilds/cryptotensors.${process.platform}-${process.arch}`);
    expect(message).toContain('CRYPTOTENSORS_NATIVE');
    expect(message).toContain('npm run build:native');
  });

  it('says why one that is there does not load', () => {
    const copy = install('broken');
    const file = expectedFile(copy);
    writeFileSync(file, 'not a library');
    const { engine, fallback, stderr } = load(copy.dist);
    expect(engine).toBe('portable');
    expect(fallback).toContain(`${basename(file)}: `);
    expect(stderr).toContain(fallback);
    expect(stderr).toContain('damaged or for another platform');
    const { code, message } = load(copy.dist, RING);
    expect(code).toBe('NativeUnavailable');
    expect(message).toContain(basename(file));
  });

  it('says so where Node.js was told to load none', () => {
    const copy = install('refused');
    copyFileSync(addon, expectedFile(copy));
    const { engine, stderr } = load(copy.dist, { NODE_OPTIONS: '--no-addons' });
    expect(engine).toBe('portable');
    expect(stderr).toContain('start it without --no-addons');
  });

  it('takes it from the folder of the package', () => {
    const copy = install('prebuilt');
    const file = expectedFile(copy);
    copyFileSync(addon, file);
    const expected = { engine: 'native', fallback: null, addon: `prebuilds/${basename(file)}`, tried: [], stderr: '' };
    expect(load(copy.dist)).toMatchObject(expected);
  });

  it('takes the file that the user names first, and says so where that does not load', () => {
    const copy = install('named');
    const named = join(folder, 'elsewhere.node');
    copyFileSync(addon, named);
    expect(load(copy.dist, { CRYPTOTENSORS_NATIVE: named })).toMatchObject({
      engine: 'native',
      addon: named,
      stderr: '',
    });

    const missing = join(folder, 'nothing.node');
    const none = load(copy.dist, { CRYPTOTENSORS_NATIVE: missing });
    expect(none.tried!.map((attempt) => attempt.addon)).toEqual([missing, expect.stringContaining('prebuilds/')]);
    expect(none.engine).toBe('portable');

    copyFileSync(addon, expectedFile(copy));
    const other = load(copy.dist, { CRYPTOTENSORS_NATIVE: missing });
    expect(other.engine).toBe('native');
    expect(other.tried!.map((attempt) => attempt.addon)).toEqual([missing]);
    expect(other.stderr).toContain('[CRYPTOTENSORS_NATIVE] CryptoTensorsWarning');
    expect(other.stderr).toContain(missing);
  });

  it('has words for a platform without one, and for every cause that can be told', () => {
    const cases = {
      "version `GLIBC_2.28' not found (required by x.node)": 'older than the addon needs',
      'Error relocating x.node: __memcpy_chk: symbol not found': 'another C library',
      'x.node: failed to map segment from shared object': 'noexec',
      'Dynamic require of "./x.node" is not supported': 'leave cryptotensors external',
      'the package has no addon for this platform': 'docs/platforms.md',
      'No such built-in module: ../prebuilds/x.node': 'CRYPTOTENSORS_NATIVE',
      'something that nobody has seen': 'Install the package again',
    };
    for (const [reason, words] of Object.entries(cases)) {
      expect(adviceFor([{ addon: 'x.node', reason }]), reason).toContain(words);
    }
  });
});

describe('the C library of the process', () => {
  it.runIf(process.platform === 'linux')('is that of the program', () => {
    // A C library that was asked by the other way there is, which takes long and looks at the network.
    const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
    expect(libc()).toBe(report.header?.glibcVersionRuntime === undefined ? 'musl' : 'gnu');
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
