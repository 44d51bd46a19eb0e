import { join } from 'node:path';
import type { Twin } from '../twin.js';
import { CryptoTensorsError, quotePath } from '../errors.js';
import { entriesOf, kindOf, statusOf } from './status.js';
import { fileError } from './system-error.js';

/** A file in a folder or below. */
export interface FoundFile {
  /** Relative to the folder, with `/` on every system. */
  name: string;
  path: string;
  byteLength: number;
}

/** What is in a folder and below. */
export interface FolderContents {
  /** In the order of their names, folder by folder. */
  files: FoundFile[];
  /** What was left out, and why. */
  left: { name: string; reason: string }[];
}

const MAX_FILES = 20_000;
const MAX_DEPTH = 32;

/**
 * The regular files in a folder and below, also behind symbolic links, as caches of models are made of them. Left out are hidden
 * names, links to folders, and whatever is neither file nor folder.
 *
 * @throws {CryptoTensorsError} `FileError`; `InvalidOption` for more files than a model has
 */
export function* walkFolder(folder: string): Twin<FolderContents> {
  const contents: FolderContents = { files: [], left: [] };
  yield* walk(folder, '', 1, contents);
  return contents;
}

function* walk(folder: string, prefix: string, depth: number, contents: FolderContents): Twin<void> {
  for (const entry of yield* entries(folder)) {
    const name = prefix + entry.name;
    const path = join(folder, entry.name);
    if (entry.name.startsWith('.')) contents.left.push({ name, reason: 'its name is hidden' });
    else if (entry.isDirectory()) {
      if (depth === MAX_DEPTH) throw tooMuch(path, `is nested more than ${MAX_DEPTH} folders deep`);
      yield* walk(path, `${name}/`, depth + 1, contents);
    } else yield* take(path, name, contents);
    if (contents.files.length > MAX_FILES) throw tooMuch(folder, `holds more than ${MAX_FILES} files`);
  }
}

function* take(path: string, name: string, contents: FolderContents): Twin<void> {
  const status = yield* statusOf(path);
  if (status?.isFile() === true) contents.files.push({ name, path, byteLength: Number(status.size) });
  else if (status === null) throw fileError(path, 'read', Object.assign(new Error('no such file'), { code: 'ENOENT' }));
  else
    contents.left.push({ name, reason: status.isDirectory() ? 'it is a link to a folder' : `it is ${kindOf(status)}` });
}

function* entries(folder: string) {
  try {
    return (yield* entriesOf(folder)).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    throw fileError(folder, 'read', error);
  }
}

function tooMuch(path: string, problem: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidOption',
    `${quotePath(path)} ${problem}, which no model does: name the folder of the model`,
    {
      path,
    },
  );
}
