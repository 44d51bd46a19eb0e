import { CryptoTensorsError, type ErrorCode } from '#dist/errors.js';
import { expect } from 'vitest';

/** The error that `work` throws; fails the test if it throws none, or one of another code. */
export function refusal(code: ErrorCode, work: () => unknown): CryptoTensorsError {
  const error = thrownBy(work);
  expect(error, `expected a refusal with ${code}`).not.toBeNull();
  expect(error!.code, error!.message).toBe(code);
  return error!;
}

/** The `CryptoTensorsError` that `work` throws, or null if it throws nothing. Any other error is passed on. */
export function thrownBy(work: () => unknown): CryptoTensorsError | null {
  try {
    work();
    return null;
  } catch (error) {
    if (error instanceof CryptoTensorsError) return error;
    throw error;
  }
}
