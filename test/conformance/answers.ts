import { CryptoTensorsError } from 'cryptotensors';

/** The code of the refusal that an attempt ends with, or `accept`. Anything but a typed refusal fails the test. */
export async function answerOf(attempt: () => unknown): Promise<string> {
  try {
    await attempt();
    return 'accept';
  } catch (error) {
    if (error instanceof CryptoTensorsError && error.message.length > 0) return error.code;
    throw error;
  }
}
