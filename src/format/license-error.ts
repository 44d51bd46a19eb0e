import { CryptoTensorsError } from '../errors.js';

/** An error about a licence, whatever is wrong with it. */
export function invalidLicense(problem: string, cause?: unknown): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidLicense',
    `the licence cannot be used: ${problem}. Fetch it again, or ask whoever issued it for a new one`,
    cause === undefined ? {} : { cause },
  );
}
