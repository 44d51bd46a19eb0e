import { closeSync, fsyncSync, lstatSync, openSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
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

/** Writes a small file: its path holds what was there before, or all of the new one. */
export function writeWhole(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const descriptor = openSync(temporary, 'wx');
    try {
      for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    try {
      unlinkSync(temporary);
    } catch {
      // It was never made; the error that brought us here says more.
    }
    throw systemError(path, 'written', error);
  }
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
