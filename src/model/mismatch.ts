import { CryptoTensorsError, quoteFile } from '../errors.js';
import { isMissing } from '../files/system-error.js';

/** What was looked for in a file, and what is there. */
interface Difference {
  expected?: string;
  found?: string;
}

/** A file that is not the one that belongs to its model: `ModelMismatch`, with its path. */
export function mismatch(path: string | undefined, problem: string, difference: Difference = {}): CryptoTensorsError {
  return new CryptoTensorsError('ModelMismatch', `${quoteFile(path)} ${problem}`, {
    ...difference,
    ...(path === undefined ? {} : { path }),
  });
}

/** A file that the model's signed headers list, and that is not there. @param expected what should be */
export function missingFile(path: string, expected: string): CryptoTensorsError {
  return mismatch(path, 'is missing, but the model says that it belongs to it', { expected, found: 'nothing' });
}

/** Whether an error says that just this file is not there, and not another that was needed meanwhile, such as one of keys. */
export function isGone(error: unknown, path: string): boolean {
  return error instanceof CryptoTensorsError && error.path === path && isMissing(error);
}
