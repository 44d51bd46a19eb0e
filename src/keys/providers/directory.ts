import { join, sep } from 'node:path';
import { CryptoTensorsError, quote } from '../../errors.js';
import type { Engine } from '../../engine/types.js';
import { entriesOf, resolvedPath } from '../../files/status.js';
import type { FolderEntry } from '../../files/status.js';
import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { fileError } from '../../files/system-error.js';
import { readKeyFile } from '../key-file.js';
import { fromOrigin } from './material.js';
import { resolvePath } from '../../path-argument.js';
import { PROVIDER_PRIORITY } from './types.js';
import type { KeyProvider } from './types.js';

/** Far above any set of keys; a path that points at a data folder by mistake is refused. */
export const MAX_DIRECTORY_FILES = 1_000;
const MAX_DIRECTORY_BYTES = 64 * 1024 * 1024;

/**
 * A provider over a folder of JWK and JWK set files, `*.json` and `*.jwk`, in the order of their names. It is read anew each
 * time a key is needed, so that keys can be added and taken away while the process runs. Subfolders and hidden files are
 * left out. A symbolic link must stay in the folder, as those of mounted Kubernetes secrets do.
 */
export function directoryKeyProvider(path: string | URL, engine: Engine, name = 'directory'): KeyProvider {
  const folder = resolvePath(path, 'path');
  return {
    name,
    priority: PROVIDER_PRIORITY.file,
    wipeAnswers: true,
    find: () => runAsync(readAll(folder, engine)),
    findSync: () => runSync(readAll(folder, engine)),
  };
}

function* readAll(folder: string, engine: Engine): Twin<Uint8Array[]> {
  const texts: Uint8Array[] = [];
  let total = 0;
  try {
    for (const path of yield* listKeyFiles(folder)) {
      const text = yield* readKeyFile(path, engine);
      texts.push(fromOrigin(text, { where: quote(path), path }));
      total += text.length;
      if (total > MAX_DIRECTORY_BYTES) throw tooMuch(folder, `more than ${MAX_DIRECTORY_BYTES} bytes of key files`);
    }
    return texts;
  } catch (error) {
    for (const text of texts) engine.wipe(text);
    throw error;
  }
}

/** @throws FileError */
function* listKeyFiles(folder: string): Twin<string[]> {
  const root = yield* resolve(folder);
  const entries = yield* inFolder(folder, entriesOf(root));
  const named = entries.filter(isKeyFile).sort((a, b) => (a.name < b.name ? -1 : 1));
  if (named.length > MAX_DIRECTORY_FILES) throw tooMuch(folder, `${named.length} key files`);
  const paths: string[] = [];
  for (const entry of named) {
    const path = join(root, entry.name);
    paths.push(entry.isSymbolicLink() ? yield* followInside(path, root) : path);
  }
  return paths;
}

function isKeyFile(entry: FolderEntry): boolean {
  return /^[^.].*\.(json|jwk)$/.test(entry.name) && !entry.isDirectory();
}

function* followInside(link: string, root: string): Twin<string> {
  const target = yield* resolve(link);
  if (target.startsWith(root.endsWith(sep) ? root : root + sep)) return target;
  throw new CryptoTensorsError(
    'FileError',
    `the symbolic link ${quote(link)} leads out of the key folder: put the key file itself there, or use a file provider`,
    { path: link },
  );
}

function resolve(path: string): Twin<string> {
  return inFolder(path, resolvedPath(path));
}

/** Work on the file system whose errors name `path`. */
function* inFolder<Result>(path: string, work: Twin<Result>): Twin<Result> {
  try {
    return yield* work;
  } catch (error) {
    throw fileError(path, 'read', error);
  }
}

function tooMuch(folder: string, found: string): CryptoTensorsError {
  const most = `${MAX_DIRECTORY_FILES} files and ${MAX_DIRECTORY_BYTES} bytes`;
  return new CryptoTensorsError(
    'FileError',
    `the key folder ${quote(folder)} holds ${found}, but at most ${most} are read: is it a folder of keys?`,
    { path: folder, expected: `at most ${most}`, found },
  );
}
