import { CryptoTensorsError, quote } from '../errors.js';
import { EngineFault } from '../engine/fault.js';
import { asSystemError } from '../engine/system-codes.js';

/** The operating system's own code of whatever was thrown by a system call, the engine's or Node's: `ENOENT`, … */
export function systemCodeOf(error: unknown): string | undefined {
  if (error instanceof CryptoTensorsError || error instanceof EngineFault) return error.systemCode;
  return asSystemError(error)?.code;
}

/** Whether the system says that something is not there. */
export function isMissing(error: unknown): boolean {
  const code = systemCodeOf(error);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/**
 * A failed system call as the public error: `"model.safetensors" could not be written: no space left on device (ENOSPC)`.
 * Whatever else was thrown passes through unchanged.
 *
 * @param what what could not be done with the file: `written`
 * @param advice a sentence on what to do about it
 */
export function fileError(path: string, what: string, error: unknown, advice = ''): unknown {
  const failure = failureOf(error);
  if (failure === null) return error;
  const { code, words } = failure;
  const reason = code === undefined || words.includes(code) ? words : `${words} (${code})`;
  return new CryptoTensorsError(
    'FileError',
    `${quote(path)} could not be ${what}: ${reason}${advice === '' ? '' : `. ${advice}`}`,
    { path, ...(code === undefined ? {} : { systemCode: code }), cause: error },
  );
}

function failureOf(error: unknown): { code: string | undefined; words: string } | null {
  if (error instanceof EngineFault) {
    return error.code === 'FileError' ? { code: error.systemCode, words: error.message } : null;
  }
  return asSystemError(error);
}
