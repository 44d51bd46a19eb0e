import { CryptoTensorsError, quote } from '../errors.js';
import { getEngine } from '../engine/load.js';
import { writeBytesAtomically } from '../files/atomic-write.js';
import { writeNewFiles } from '../files/new-files.js';
import { readBounded } from '../files/read-bounded.js';
import { kindOf, linkStatusOf, statusOf } from '../files/status.js';
import { taken } from '../files/target.js';
import { runSync } from '../twin.js';
import { KIND_BYTES, REGO, recogniseFile, withoutBom } from '../format/file-kind.js';
import { usageError } from './cli-error.js';
import { refuseKeyAsPath } from './secret-words.js';

/**
 * Refuses a target that exists, whatever it is: a symbolic link that leads nowhere too.
 *
 * @throws {CryptoTensorsError} `FileError` with `EEXIST`
 */
export function refuseExisting(path: string, advice: string): void {
  if (linkStatusOf(path) === null) return;
  // A link that leads nowhere is there all the same.
  const status = runSync(statusOf(path));
  if (status === null || status.isFile()) throw taken(path, advice);
  const found = kindOf(status);
  throw new CryptoTensorsError(
    'FileError',
    `${quote(path)} is ${found}, and only a regular file is ever replaced. Choose another target`,
    { path, found, expected: 'a regular file', systemCode: 'EEXIST' },
  );
}

/** Writes a small file: its path holds what was there before, or all of the new one. */
export function writeWhole(path: string, bytes: Uint8Array): void {
  runSync(writeBytesAtomically({ path, engine: getEngine() }, bytes));
}

/** A file of keys to write. */
export interface KeyFile {
  path: string;
  mode: number;
  text: string;
}

/**
 * Writes key files, all of them or none, never over what is there.
 *
 * @throws {CryptoTensorsError} `FileError`, with `EEXIST` for a path that is taken
 */
export function writeKeyFiles(files: readonly KeyFile[]): void {
  for (const { path } of files) refuseKeyAsPath(path);
  try {
    writeNewFiles(
      files.map(({ path, mode, text }) => ({ path, mode, bytes: new TextEncoder().encode(text) })),
      getEngine(),
    );
  } catch (error) {
    if (!(error instanceof CryptoTensorsError) || error.systemCode !== 'EEXIST' || error.path === undefined)
      throw error;
    throw taken(error.path, 'Keys are never written over a file: choose another name, or move that one away');
  }
}

/** Far above any policy or list of cases; a path that points at a model by mistake is refused before it fills the memory. */
const MAX_TEXT_BYTES = 64 * 1024 * 1024;

/** A text file, or a pipe, that the user names: UTF-8, without the byte order mark that some editors write. */
export function readText(path: string): string {
  refuseKeyAsPath(path);
  const bytes = runSync(readBounded(path, { limit: MAX_TEXT_BYTES, pipes: true }));
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(withoutBom(bytes));
  } catch {
    const kind = recogniseFile(bytes);
    throw usageError(`${quote(path)} is not UTF-8 text${kind === null ? '' : `: it is ${kind}`}`);
  }
}

/** The text of a policy. */
export function readPolicy(path: string): string {
  const text = readText(path);
  const kind = recogniseFile(new TextEncoder().encode(text.slice(0, KIND_BYTES)));
  if (kind === null || kind === REGO) return text;
  throw usageError(`${quote(path)} is no policy in Rego: it is ${kind}`);
}
