import { availableParallelism } from 'node:os';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { CryptoTensorsError, quote } from '../errors.js';
import addonFile from './addon-file.cjs';
import type { Addon } from './addon.js';
import { NativeEngine } from './native.js';
import { createNodeEngine } from './portable/node.js';
import type { AeadProvider, Engine, EngineInfo } from './types.js';

/** The optional dependency that would hold the addon, and why neither it nor a build from source loads. */
interface Missing {
  prebuilt: string;
  reason: string;
}

const BUILT_FROM_SOURCE = 'build/Release/cryptotensors.node';
/** Workers inherit it, so that one process warns once. */
const WARNED = 'cryptotensors: warned of the missing addon';

let engine: Engine | undefined;
let fallback: string | null = null;

/**
 * The engine of this process, loaded at the first call. `CRYPTOTENSORS_ENGINE` forces an AEAD implementation of the addon,
 * `openssl` or `ring`, or `portable`, the engine that does without the addon. `auto`, or nothing, is the addon with
 * whatever a short measurement finds faster, and `portable`, with a warning, where there is no addon that loads; `engineInfo()` tells
 * which, and why. It is read from the environment of the process: that of a worker changes nothing.
 *
 * @throws {CryptoTensorsError} `NativeUnavailable` if an AEAD implementation of the addon is asked for, and there is no addon for
 * this platform or it does not load; `InvalidOption` for another value of `CRYPTOTENSORS_ENGINE`, or one that this process
 * cannot serve
 */
export function getEngine(): Engine {
  engine ??= loadEngine(processChoice());
  return engine;
}

/** Of the process, not of a worker's own environment: what it decides holds for all threads, and they share what they open. */
function processChoice(): string | undefined {
  const own = process.env['CRYPTOTENSORS_ENGINE'];
  if (isMainThread) return own;
  const found = findAddon();
  return 'addon' in found ? (found.addon.processEngine() ?? undefined) : own;
}

/**
 * Which engine this process uses, and which AEAD implementation serves each algorithm.
 *
 * @throws {CryptoTensorsError} `NativeUnavailable`, `InvalidOption`, as when a file is opened
 */
export function engineInfo(): EngineInfo {
  return { ...getEngine().info(), fallback };
}

function loadEngine(choice: string | undefined): Engine {
  switch (choice) {
    case undefined:
    case '':
    case 'auto': {
      const found = findAddon();
      if ('addon' in found) return nativeEngine(found.addon, null);
      fallback = found.reason;
      warnOfFallback(found);
      return createNodeEngine();
    }
    case 'portable':
      return createNodeEngine();
    case 'openssl':
    case 'ring':
      return nativeEngine(requireAddon(), choice);
    default:
      throw new CryptoTensorsError(
        'InvalidOption',
        `CRYPTOTENSORS_ENGINE must be openssl, ring, portable or auto, not ${quote(choice)}`,
        { expected: 'openssl, ring, portable or auto', found: choice },
      );
  }
}

/** Loud, because what is missing is speed and the protection of keys in memory, and nothing else would show it. */
function warnOfFallback({ reason, prebuilt }: Missing): void {
  if (getEnvironmentData(WARNED) === true) return;
  setEnvironmentData(WARNED, true);
  process.emitWarning(
    `${unavailable(reason)}. The portable engine serves in its place: it is slower, and its keys are neither locked in memory nor kept out of core dumps`,
    {
      type: 'CryptoTensorsWarning',
      code: 'CRYPTOTENSORS_FALLBACK',
      detail: `${advice(prebuilt)}. CRYPTOTENSORS_ENGINE=portable chooses that engine, without this warning.`,
    },
  );
}

function unavailable(reason: string): string {
  const platform = `${process.platform} ${process.arch}, Node.js ${process.versions.node}`;
  return `the native part of cryptotensors could not be loaded on ${platform}: ${reason}`;
}

function advice(prebuilt: string): string {
  return (
    `Install again on this platform with optional dependencies (npm install --include=optional cryptotensors), which brings ${prebuilt}; ` +
    'in a source checkout run npm run build:native, which needs a Rust toolchain, a C++20 compiler, make and Python 3'
  );
}

function nativeEngine(addon: Addon, provider: AeadProvider | null): Engine {
  try {
    addon.configure(availableParallelism(), provider);
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
  const { prebuilt, reason } = found;
  throw new CryptoTensorsError(
    'NativeUnavailable',
    `${unavailable(reason)}. ${advice(prebuilt)}. Without CRYPTOTENSORS_ENGINE the slower portable engine serves`,
    { expected: prebuilt },
  );
}

/** The addon, or why there is none. */
function findAddon(): { addon: Addon } | Missing {
  const failures: string[] = [];
  const prebuilt = prebuiltPackage();
  const load = addonFile.prebuilt[prebuilt];
  const addon =
    tryLoad(addonFile.fromSource, BUILT_FROM_SOURCE, failures) ??
    (load === undefined ? undefined : tryLoad(load, prebuilt, failures));
  if (addon !== undefined) return { addon };
  const absent =
    load === undefined ? 'there is no build of it for this platform' : `the package ${prebuilt} is not installed`;
  return { prebuilt, reason: failures.length > 0 ? failures.join('; ') : absent };
}

/** One that is there but does not load says why; that one is not there is the usual case. */
function tryLoad(load: () => unknown, name: string, failures: string[]): Addon | undefined {
  try {
    return load() as Addon;
  } catch (cause) {
    if (!isMissing(cause, name)) failures.push(`${name}: ${messageOf(cause)}`);
    return undefined;
  }
}

/** Not where the package is there, and what it needs is missing. */
function isMissing(error: unknown, name: string): boolean {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'MODULE_NOT_FOUND' && message.includes(`${name}'`);
}

function messageOf(error: unknown): string {
  const { message } = error as Partial<Error>;
  return message ?? String(error);
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
