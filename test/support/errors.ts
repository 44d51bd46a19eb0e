import { CryptoTensorsError } from 'cryptotensors';
import type { ErrorCode } from 'cryptotensors';
import { expect } from 'vitest';

/** The `CryptoTensorsError` that `work` throws or rejects with; fails the test if there is none, or of another code. */
export async function refusal(code: ErrorCode, work: () => unknown): Promise<CryptoTensorsError> {
  let result: unknown;
  try {
    result = await work();
  } catch (error) {
    expect(error, String((error as Error).stack)).toBeInstanceOf(CryptoTensorsError);
    expect((error as CryptoTensorsError).code, (error as Error).message).toBe(code);
    return error as CryptoTensorsError;
  }
  expect.fail(`expected a refusal with ${code}, but got ${typeof result}`);
}

/** The same of work that ends in this turn. */
export function refusalSync(code: ErrorCode, work: () => unknown): CryptoTensorsError {
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
