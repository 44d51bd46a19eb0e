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
