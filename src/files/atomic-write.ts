import { CryptoTensorsError, quote } from '../errors.js';
import { EngineFault } from '../engine/fault.js';
import type { Engine, FileStatus, Sink } from '../engine/types.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { removeAbandoned } from './abandoned.js';
import { ANYBODY, PERMISSIONS, narrowed, takeOver, widenForGroup } from './permissions.js';
import { fileError, systemCodeOf } from './system-error.js';
import { openTarget } from './target.js';
import type { Target } from './target.js';
import { TemporaryFile } from './temporary-file.js';
import { withoutPrototype } from '../options.js';

/** A file to write. */
export interface NewFile {
  path: string;
  byteLength: number;
  engine: Engine;
  /** False: without flushing. A crash of the machine may then lose the new file, but not make half of it visible to processes. */
  durable?: boolean | undefined;
  /** Permissions of a file that was not there, less the umask. Default: reading and writing for all. One that was keeps its own. */
  mode?: number | undefined;
  /** The file that this one is made from: a new file is open to nobody who may not use that one. */
  like?: FileStatus | null | undefined;
  /** Refuse a path where something stands, be it a link (EEXIST), in place of replacing it. */
  exclusive?: boolean | undefined;
  /** What is left under the other names of a file with several (hard links), for a warning: `the plaintext`. */
  leaves?: ((replaced: FileStatus) => string) | undefined;
}

/**
 * Writes a file so that its path holds either what was there before or all of the new file, never a part: a temporary file
 * beside it, flushed, renamed; then the folder is flushed. Whatever goes wrong, the temporary file is removed.
 *
 * Links are followed first. Permissions and, where the system permits it, owner of what is replaced stay.
 *
 * @throws {CryptoTensorsError} `FileError`, with the path
 */
export function* writeAtomically<Result>(given: NewFile, fill: (sink: Sink) => Twin<Result>): Twin<Result> {
  const file = withoutPrototype(given);
  const target = openTarget(file.path, { last: file.exclusive === true ? 'refuse' : 'follow' });
  try {
    return yield* replace(target, file, fill);
  } finally {
    target.folder.close();
  }
}

/** The same, of bytes that are all there. */
export function writeBytesAtomically(file: Omit<NewFile, 'byteLength'>, bytes: Uint8Array): Twin<void> {
  // eslint-disable-next-line require-yield -- nothing here takes long
  return writeAtomically({ ...file, byteLength: bytes.length }, function* (sink) {
    sink.write(0, bytes);
  });
}

function* replace<Result>(target: Target, file: NewFile, fill: (sink: Sink) => Twin<Result>): Twin<Result> {
  const { engine, durable = true } = file;
  yield* removeAbandoned(target, engine);
  const temporary = create(target, file);
  let result: Result;
  try {
    result = yield* fillWhole(temporary, file, fill);
    if (file.exclusive === true) temporary.claimTarget();
    else temporary.replaceTarget();
  } catch (error) {
    throw publicWriteError(error, file.path);
  } finally {
    temporary.release();
  }
  warnOfOtherNames(target, file);
  if (durable) yield* flushFolder(target);
  return result;
}

/** Makes the temporary file with as few permissions as it will have, so that nobody opens it meanwhile who may not later. */
export function create(target: Target, file: NewFile): TemporaryFile {
  const { engine, mode = ANYBODY, like = null } = withoutPrototype(file);
  if (target.existing !== null) return TemporaryFile.create(target, engine, { mode: 0o600 });
  const temporary = TemporaryFile.create(target, engine, { mode: narrowed(mode & PERMISSIONS, like) });
  try {
    widenForGroup(temporary.sink, mode, like);
  } catch (error) {
    temporary.release();
    throw publicWriteError(error, target.given);
  }
  return temporary;
}

function* fillWhole<Result>(
  { sink, target }: TemporaryFile,
  { byteLength, durable = true }: NewFile,
  fill: (sink: Sink) => Twin<Result>,
): Twin<Result> {
  yield* step(
    () => sink.allocate(byteLength),
    () => sink.allocateAsync(byteLength),
  );
  const result = yield* fill(sink);
  if (durable) yield* flush(sink);
  if (target.existing !== null) {
    // Last, because what a killed process leaves is removed by its owner.
    takeOver(sink, target.existing);
    if (durable) yield* flush(sink);
  }
  return result;
}

function flush(sink: Sink): Twin<void> {
  return step(
    () => sink.sync(),
    () => sink.syncAsync(),
  );
}

/** The write has happened by now, whatever comes. */
export function* flushFolder({ folder, given }: Pick<Target, 'folder' | 'given'>): Twin<void> {
  try {
    yield* folder.flush();
  } catch (error) {
    const code = systemCodeOf(error);
    throw new CryptoTensorsError(
      'FileError',
      `${quote(given)} is written and stands under its name, but the folder ${quote(folder.path)} could not be flushed to the disk (${code ?? 'for a reason that the system does not tell'}): if the machine loses power now, what was there before may be back`,
      { path: given, ...(code === undefined ? {} : { systemCode: code }), cause: error },
    );
  }
}

/** Replacing a file does not reach what leads to the old one by another name. */
function warnOfOtherNames({ existing, given }: Target, { leaves }: NewFile): void {
  if (existing === null || existing.links < 2) return;
  const others =
    existing.links === 2
      ? 'one other name (a hard link) that still leads'
      : `${existing.links - 1} other names (hard links) that still lead`;
  process.emitWarning(
    `${quote(given)} was replaced, but the file that was there has ${others} to ${leaves?.(existing) ?? 'what was there before'}. Find it with: find FOLDER -inum ${existing.inode}`,
    { type: 'CryptoTensorsWarning', code: 'OtherNamesRemain' },
  );
}

/** What went wrong with writing `path`, as the public error. What concerns something else passes through unchanged. */
export function publicWriteError(error: unknown, path: string): unknown {
  if (error instanceof EngineFault && error.side !== 'sink') return error;
  return fileError(path, 'written', error);
}
