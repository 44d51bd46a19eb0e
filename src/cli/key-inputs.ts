import { statusOf } from '../files/status.js';
import { loadKeysSync } from '../index.js';
import type { KeyRing } from '../index.js';
import { runSync } from '../twin.js';
import { refuseKeyAsPath } from './secret-words.js';

/** What came out of pipes, which can be read once, however many files and flags ask for it. */
const read = new Map<string, KeyRing>();

/** What the library is given for the files that a flag names: their paths, and of pipes the keys. */
export function keyInputs(paths: readonly string[] | undefined): (string | KeyRing)[] | undefined {
  return paths?.map(keyInput);
}

/** The same for a flag that takes one file. */
export function keyInput(path: string): string | KeyRing {
  refuseKeyAsPath(path);
  const known = read.get(path);
  if (known !== undefined) return known;
  const status = runSync(statusOf(path));
  if (status === null || !(status.isFIFO() || status.isSocket())) return path;
  const ring = loadKeysSync(path);
  read.set(path, ring);
  return ring;
}
