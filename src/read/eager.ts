import type { Blob } from 'node:buffer';
import { runAsync, runSync } from '../twin.js';
import { pickOptions } from '../options.js';
import { INPUT_OPTIONS, open } from './safe-open.js';
import type { SafeOpenOptions } from './safe-open.js';
import type { BytesInput, OpenInput } from '../model/input.js';
import { ownOpenOptions } from '../open/options.js';
import type { ReadOptions } from './options.js';
import type { Tensor } from './tensor.js';

/** Options of the eager loaders: those of opening and of reading. */
export interface LoadOptions extends SafeOpenOptions, Omit<ReadOptions, 'signal' | 'threads'> {}

const READ_OPTIONS = ['shared', 'into', 'map', 'onProgress'] as const;
/** What the read gets: the opening's own signal ended with it. */
const PASSED_ON = [...READ_OPTIONS, 'signal'] as const;

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

/**
 * Reads every tensor out of a file's bytes, which are copied unless they are shared or handed over (`transfer`). Throws the same as
 * `loadFile`.
 */
export async function load(bytes: BytesInput | Blob, options: LoadOptions = {}): Promise<Map<string, Tensor>> {
  return loadAny(bytes, options, 'load');
}

/** `load`, blocking the calling thread. Reads the bytes where they are; a `Blob` cannot be read so. */
export function loadSync(bytes: BytesInput, options: LoadOptions = {}): Map<string, Tensor> {
  return loadAnySync(bytes, options, 'loadSync');
}

async function loadAny(input: OpenInput, options: unknown, where: string): Promise<Map<string, Tensor>> {
  const own = ownOpenOptions<LoadOptions>(options, where, [...READ_OPTIONS, ...INPUT_OPTIONS]);
  const file = await runAsync(open(input, own, { lasting: false }));
  try {
    return await file.getTensors(pickOptions(own, PASSED_ON));
  } finally {
    await file.close();
  }
}

function loadAnySync(input: OpenInput, options: unknown, where: string): Map<string, Tensor> {
  const own = ownOpenOptions<LoadOptions>(options, where, [...READ_OPTIONS, ...INPUT_OPTIONS]);
  const file = runSync(open(input, own, { lasting: false }));
  try {
    return file.getTensorsSync(pickOptions(own, PASSED_ON));
  } finally {
    file.closeNow();
  }
}
