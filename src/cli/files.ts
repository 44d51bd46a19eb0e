import { lstatSync, readFileSync } from 'node:fs';
import { CryptoTensorsError, quote } from '../errors.js';
import { usageError } from './cli-error.js';

/**
 * Refuses a target that exists, whatever it is: a symbolic link that leads nowhere too.
 *
 * @throws {CryptoTensorsError} `FileError` with `EEXIST`
 */
export function refuseExisting(path: string, advice: string): void {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  throw alreadyThere(path, advice);
}

export function alreadyThere(path: string, advice: string): CryptoTensorsError {
  return new CryptoTensorsError('FileError', `${quote(path)} is already there. ${advice}`, {
    path,
    systemCode: 'EEXIST',
  });
}

export function systemError(path: string, what: string, error: unknown): CryptoTensorsError {
  const { code, message } = error as NodeJS.ErrnoException;
  return new CryptoTensorsError('FileError', `${quote(path)} could not be ${what}: ${message}`, {
    path,
    ...(code === undefined ? {} : { systemCode: code }),
    cause: error,
  });
}

/** A text file that the user names: UTF-8, as it stands. */
export function readText(path: string): string {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw systemError(path, 'read', error);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw usageError(`${quote(path)} is not UTF-8 text`);
  }
}
