import { closeSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { alreadyThere, systemError } from './files.js';

export interface NewFile {
  path: string;
  mode: number;
  text: string;
}

/**
 * Writes new files, all of them or none. Never over what is there, and never through a symbolic link: `O_CREAT | O_EXCL`
 * refuses both.
 *
 * @throws {CryptoTensorsError} `FileError`, with `EEXIST` for a path that is taken
 */
export function writeNewFiles(files: readonly NewFile[]): void {
  const created: { path: string; descriptor: number }[] = [];
  let complete = false;
  try {
    for (const { path, mode } of files) created.push({ path, descriptor: create(path, mode) });
    for (const [i, { text, path }] of files.entries()) write(created[i]!.descriptor, text, path);
    complete = true;
  } finally {
    for (const { path, descriptor } of created) {
      closeSync(descriptor);
      if (!complete) unlinkSync(path);
    }
  }
}

function create(path: string, mode: number): number {
  try {
    return openSync(path, 'wx', mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw alreadyThere(path, 'Keys are never written over a file: choose another name, or move that one away');
    }
    throw systemError(path, 'created', error);
  }
}

function write(descriptor: number, text: string, path: string): void {
  try {
    const bytes = Buffer.from(text);
    for (let done = 0; done < bytes.length;) done += writeSync(descriptor, bytes, done);
    bytes.fill(0);
    fsyncSync(descriptor);
  } catch (error) {
    throw systemError(path, 'written', error);
  }
}
