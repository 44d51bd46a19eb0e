import { availableParallelism } from 'node:os';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';
import { CryptoTensorsError, quoteInput } from '../errors.js';
import type { Addon } from './addon.js';
import { adviceFor, findAddon, messageOf, reasonsOf } from './find-addon.js';
import type { Attempt } from './find-addon.js';
import { NativeEngine } from './native.js';
import { createNodeEngine } from './portable/node.js';
import type { AeadProvider, Engine, EngineInfo } from './types.js';

/** Workers inherit it, so that one process warns once. */
const WARNED = 'cryptotensors: warned of the addon';

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
  const { addon } = findAddon();
  return addon === undefined ? own : (addon.processEngine() ?? undefined);
}

/**
 * Which engine this process uses, and which AEAD implementation serves each algorithm.
 *
 * @throws {CryptoTensorsError} `NativeUnavailable`, `InvalidOption`, as when a file is opened
 */
export function engineInfo(): EngineInfo {
  const engine = getEngine().info();
  // Whoever chose the portable engine is not told of an addon that nobody looked for.
  const { from, tried } = engine.engine === 'native' || fallback !== null ? findAddon() : { from: null, tried: [] };
  return { ...engine, fallback, addon: from, tried };
}

function loadEngine(choice: string | undefined): Engine {
  switch (choice) {
    case undefined:
    case '':
    case 'auto': {
      const { addon, from, tried } = findAddon();
      if (addon !== undefined) {
        if (tried.length > 0) warnOfOther(from!, tried);
        return nativeEngine(addon, null);
      }
      fallback = reasonsOf(tried);
      warnOfFallback(tried);
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
        `CRYPTOTENSORS_ENGINE must be openssl, ring, portable or auto, not ${quoteInput(choice)}`,
        { expected: 'openssl, ring, portable or auto', found: quoteInput(choice) },
      );
  }
}

/** Loud, because what is missing is speed and the protection of keys in memory, and nothing else would show it. */
function warnOfFallback(tried: readonly Attempt[]): void {
  warn(
    `${unavailable(tried)}. The portable engine serves in its place: it is slower, and its keys are neither locked in memory nor kept out of core dumps`,
    'CRYPTOTENSORS_FALLBACK',
    `${adviceFor(tried)}. CRYPTOTENSORS_ENGINE=portable chooses that engine, without this warning.`,
  );
}

/** The addon that serves is not the one that should have. */
function warnOfOther(from: string, tried: readonly Attempt[]): void {
  warn(
    `the native part of cryptotensors was loaded from ${from}`,
    'CRYPTOTENSORS_NATIVE',
    `Not from ${reasonsOf(tried)}`,
  );
}

/** Once in a process, whatever its threads do. */
function warn(message: string, code: string, detail: string): void {
  if (getEnvironmentData(WARNED) === true) return;
  setEnvironmentData(WARNED, true);
  process.emitWarning(message, { type: 'CryptoTensorsWarning', code, detail });
}

function unavailable(tried: readonly Attempt[]): string {
  const platform = `${process.platform} ${process.arch}, Node.js ${process.versions.node}`;
  return `the native part of cryptotensors could not be loaded on ${platform}: ${reasonsOf(tried)}`;
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
  const { addon, tried } = findAddon();
  if (addon !== undefined) return addon;
  throw new CryptoTensorsError(
    'NativeUnavailable',
    `${unavailable(tried)}. ${adviceFor(tried)}. Without CRYPTOTENSORS_ENGINE the slower portable engine serves`,
    { expected: tried.at(-1)!.addon },
  );
}
