import { runAsync, runSync } from '../twin.js';
import { open } from './safe-open.js';
import { checkOpenOptions } from '../open/options.js';
import type { OpenOptions } from '../open/options.js';
import type { ReadOptions } from './options.js';
import type { Tensor } from './tensor.js';

/** Options of the eager loaders: those of opening and of reading. */
export interface LoadOptions extends OpenOptions, Omit<ReadOptions, 'signal' | 'threads'> {}

const READ_OPTIONS = ['shared', 'into', 'map', 'onProgress'] as const;

function split(options: LoadOptions): { openOptions: OpenOptions; readOptions: ReadOptions } {
  const { shared, into, map, onProgress, ...openOptions } = options;
  const readOptions = Object.fromEntries(
    Object.entries({ shared, into, map, onProgress, signal: openOptions.signal }).filter(
      ([, value]) => value !== undefined,
    ),
  ) as ReadOptions;
  return { openOptions, readOptions };
}

/**
 * Reads every tensor of a file, of a sharded model or of bytes, as `safeOpen(…)` and `getTensors()` would.
 *
 * @returns the tensors by name, in the order of their data
 * @throws the same as `safeOpen` and `SafeFile.getTensors`; all or nothing
 */
export async function loadFile(path: string | URL, options: LoadOptions = {}): Promise<Map<string, Tensor>> {
  return loadAny(path, options, 'loadFile');
}

/** `loadFile`, blocking the calling thread. */
export function loadFileSync(path: string | URL, options: LoadOptions = {}): Map<string, Tensor> {
  return loadAnySync(path, options, 'loadFileSync');
}

/** Reads every tensor out of a file's bytes. Throws the same as `loadFile`. */
export async function load(bytes: Uint8Array, options: LoadOptions = {}): Promise<Map<string, Tensor>> {
  return loadAny(bytes, options, 'load');
}

/** `load`, blocking the calling thread. */
export function loadSync(bytes: Uint8Array, options: LoadOptions = {}): Map<string, Tensor> {
  return loadAnySync(bytes, options, 'loadSync');
}

async function loadAny(
  input: string | URL | Uint8Array,
  options: LoadOptions,
  where: string,
): Promise<Map<string, Tensor>> {
  checkOpenOptions(options, where, READ_OPTIONS);
  const { openOptions, readOptions } = split(options);
  const file = await runAsync(open(input, openOptions));
  try {
    return await file.getTensors(readOptions);
  } finally {
    await file.close();
  }
}

function loadAnySync(input: string | URL | Uint8Array, options: LoadOptions, where: string): Map<string, Tensor> {
  checkOpenOptions(options, where, READ_OPTIONS);
  const { openOptions, readOptions } = split(options);
  using file = runSync(open(input, openOptions));
  return file.getTensorsSync(readOptions);
}
