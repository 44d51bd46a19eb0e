import { usageError } from './cli-error.js';
import { quote } from '../errors.js';
import type { Flags } from './flag-table.js';
import { refuseExisting } from './files.js';
import { refuseKeyAsPath } from './secret-words.js';

/** The file to write: the last argument or `--output`, either but not both. */
export function targetOf(argument: string | undefined, { output }: Flags<'output'>): string {
  if (argument !== undefined && output !== undefined) {
    throw usageError('the file to write is named twice: as the last argument and by --output. Give one of them');
  }
  const target = argument ?? output;
  if (target === undefined)
    throw usageError('the file to write is missing: name it as the last argument or by --output');
  refuseStream(target, 'written');
  return target;
}

/** The same, and nothing may be there yet unless the user says `--force`. */
export function newTargetOf(argument: string | undefined, flags: Flags<'output' | 'force'>): string {
  const target = targetOf(argument, flags);
  if (flags.force !== true) refuseExisting(target, 'Choose another target, or replace it with --force');
  return target;
}

/**
 * A file to read. `-` is what other tools call standard input: here files are read at any place and more than once, and written
 * under a name that must not be there before they are complete.
 */
export function sourceOf(path: string): string {
  refuseStream(path, 'read');
  return path;
}

function refuseStream(path: string, done: string): void {
  refuseKeyAsPath(path);
  if (path !== '-') return;
  throw usageError(
    `${quote(path)} would be a stream, but this command needs a file that can be ${done} at any place: name one, or say ./- if it is called that`,
  );
}
