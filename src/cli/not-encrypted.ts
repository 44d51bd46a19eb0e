import { CryptoTensorsError, quote } from '../errors.js';

/**
 * A plain file, where no keys are configured. The library opens it then; whoever asks to verify or decrypt expects more than
 * that, so the commands do not.
 */
export function notEncrypted(path: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'NotEncrypted',
    `${quote(path)} is neither encrypted nor signed, so nothing vouches for it. If a plain file is what you expect, say --allow-plain`,
    { path },
  );
}
