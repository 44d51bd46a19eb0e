import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { CryptoTensorsError, quote } from '../errors.js';
import type { Addon } from './addon.js';
import { NativeEngine } from './native.js';
import type { AeadProvider, Engine, EngineInfo } from './types.js';

const require = createRequire(import.meta.url);
/** Where a build from source leaves the addon, as seen from dist/engine. */
const BUILT_FROM_SOURCE = '../../build/Release/cryptotensors.node';

let engine: Engine | undefined;

/**
 * The engine of this process, loaded at the first call. `CRYPTOTENSORS_ENGINE` forces an AEAD implementation of the addon,
 * `openssl` or `ring`, or `node`, the engine on node:crypto that does without the addon. `auto`, or nothing, is the addon with
 * whatever a short measurement finds faster, and `node` where there is no addon that loads; `engineInfo()` tells which.
 *
 * @throws {CryptoTensorsError} `NativeUnavailable` if an AEAD implementation of the addon is asked for, and there is no addon for
 * this platform or it does not load; `InvalidOption` for another value of `CRYPTOTENSORS_ENGINE`, or one that this process
 * cannot serve
 */
export function getEngine(): Engine {
  engine ??= loadEngine(process.env['CRYPTOTENSORS_ENGINE']);
  return engine;
}

/**
 * Which engine this process uses, and which AEAD implementation serves each algorithm.
 *
 * @throws {CryptoTensorsError} `NativeUnavailable`, `InvalidOption`, as when a file is opened
 */
export function engineInfo(): EngineInfo {
  return getEngine().info();
}

function loadEngine(choice: string | undefined): Engine {
  switch (choice) {
    case undefined:
    case '':
    case 'auto': {
      const found = findAddon();
      return 'addon' in found ? nativeEngine(found.addon, null) : nodeEngine();
    }
    case 'node':
      return nodeEngine();
    case 'openssl':
    case 'ring':
      return nativeEngine(requireAddon(), choice);
    default:
      throw new CryptoTensorsError(
        'InvalidOption',
        `CRYPTOTENSORS_ENGINE must be openssl, ring, node or auto, not ${quote(choice)}`,
        { expected: 'openssl, ring, node or auto', found: choice },
      );
  }
}

/** Not loaded where the addon serves. Node.js can `require` modules that do not await at the top level. */
function nodeEngine(): Engine {
  const { createNodeEngine } = require('./node/engine.js') as { createNodeEngine: () => Engine };
  return createNodeEngine();
}

function nativeEngine(addon: Addon, provider: AeadProvider | null): Engine {
  addon.setThreads(availableParallelism());
  try {
    addon.forceAeadProvider(provider);
  } catch (cause) {
    throw new CryptoTensorsError(
      'InvalidOption',
      `CRYPTOTENSORS_ENGINE asks for ${provider}, which this process does not have: ${messageOf(cause)}. Unset it or set it to auto`,
      { cause },
    );
  }
  return new NativeEngine(addon);
}

function requireAddon(): Addon {
  const found = findAddon();
  if ('addon' in found) return found.addon;
  const { prebuilt, failures } = found;
  const platform = `${process.platform} ${process.arch}, Node.js ${process.versions.node}`;
  const reason = failures.length > 0 ? failures.join('; ') : `the package ${prebuilt} is not installed`;
  throw new CryptoTensorsError(
    'NativeUnavailable',
    `The native part of cryptotensors could not be loaded on ${platform}: ${reason}. ` +
      'Install again on this platform with optional dependencies (npm install --include=optional cryptotensors); ' +
      'in a source checkout run npm run build:native, which needs a Rust toolchain, a C++20 compiler, make and Python 3. ' +
      'Without CRYPTOTENSORS_ENGINE the slower engine on node:crypto serves',
    { expected: prebuilt },
  );
}

/** The addon, or why there is none. */
function findAddon(): { addon: Addon } | { prebuilt: string; failures: string[] } {
  const failures: string[] = [];
  const prebuilt = prebuiltPackage();
  const addon = tryRequire(BUILT_FROM_SOURCE, failures) ?? tryRequire(prebuilt, failures);
  return addon === undefined ? { prebuilt, failures } : { addon };
}

/** One that is there but does not load says why; that one is not there is the usual case. */
function tryRequire(candidate: string, failures: string[]): Addon | undefined {
  try {
    return require(candidate) as Addon;
  } catch (cause) {
    if (!isMissing(cause, candidate)) failures.push(`${candidate}: ${messageOf(cause)}`);
    return undefined;
  }
}

function isMissing(error: unknown, candidate: string): boolean {
  return (
    error instanceof Error &&
    (error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND' &&
    error.message.includes(`'${candidate}'`)
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The optional dependency that holds the addon for this platform. */
function prebuiltPackage(): string {
  const abi = process.platform === 'linux' ? `-${libc()}` : process.platform === 'win32' ? '-msvc' : '';
  return `cryptotensors-${process.platform}-${process.arch}${abi}`;
}

/** Files built for glibc do not load under musl, nor the other way round. */
function libc(): 'gnu' | 'musl' {
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined ? 'musl' : 'gnu';
}
