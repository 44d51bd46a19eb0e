import { join } from 'node:path';
import { CryptoTensorsError, quote, quoteInput, quotePath } from '../errors.js';
import { entriesOf, statusOf } from '../files/status.js';
import { fileError } from '../files/system-error.js';
import type { Twin } from '../twin.js';
import { isShardIndex } from './shards.js';
import { option, say } from '../wording.js';
import type { Wording } from '../wording.js';

/** What Hugging Face calls shards: `model-00001-of-00003.safetensors`. They belong to an index. */
const SHARD = /-[0-9]{5}-of-[0-9]{5}\.safetensors$/;
const WEIGHTS = '.safetensors';
const INDEX = '.safetensors.index.json';

/** A model on disk. */
export interface ModelPath {
  /** Its file, or its index. */
  path: string;
  /** Whether it was named as a whole: by its folder or its index. A file by itself may be a part of one. */
  isWhole: boolean;
}

/**
 * The model behind a path: a file, an index, or a folder that holds one of them.
 *
 * @param weights which, where the folder holds several: the name of the file or index
 * @throws {CryptoTensorsError} `FileError` for a folder without a model (`EISDIR`); `InvalidOption` for one with several
 */
export function* findModel(path: string, weights?: string): Twin<ModelPath> {
  const status = yield* statusOf(path);
  if (status?.isDirectory() !== true) {
    if (weights === undefined) return { path, isWhole: isShardIndex(path) };
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('weights')} is for folders, but ${quotePath(path)} is none`,
      {
        path,
      },
    );
  }
  const found = yield* modelsIn(path);
  if (weights !== undefined) {
    if (found.includes(weights)) return { path: join(path, weights), isWhole: true };
    throw choose(
      path,
      say`${option('weights')}: ${quoteInput(weights)} is no model of the folder ${quotePath(path)}`,
      found,
    );
  }
  if (found.length === 1) return { path: join(path, found[0]!), isWhole: true };
  throw choose(
    path,
    say`the folder ${quotePath(path)} holds ${found.length === 0 ? 'no model' : `${found.length} models`}`,
    found,
  );
}

/** The names of the files and indexes that each are a model, of those in a folder itself. */
function* modelsIn(folder: string): Twin<string[]> {
  let names: string[];
  try {
    names = (yield* entriesOf(folder)).map(({ name }) => name).filter((name) => !name.startsWith('.'));
  } catch (error) {
    throw fileError(folder, 'read', error) as Error;
  }
  return names.filter((name) => name.endsWith(INDEX) || (name.endsWith(WEIGHTS) && !SHARD.test(name))).sort();
}

function choose(path: string, problem: Wording, found: readonly string[]): CryptoTensorsError {
  if (found.length === 0) {
    const needed = say`It needs a *${WEIGHTS} file, or shards with their *${INDEX}`;
    return new CryptoTensorsError('FileError', problem.advising(needed), { path, systemCode: 'EISDIR' });
  }
  const names = `${found.slice(0, 10).map(quote).join(', ')}${found.length > 10 ? ', …' : ''}`;
  return new CryptoTensorsError('InvalidOption', problem.advising(say`Say which in ${option('weights')}: ${names}`), {
    path,
  });
}
