import { createHash, randomBytes } from 'node:crypto';

/**
 * What a temporary file is for, which its name says:
 * - `tmp`: a writer holds a lock on it; without one nobody is at work any more, and the next writer removes it;
 * - `part`: the same where files cannot be locked: nobody can tell, so it stays until somebody removes it by hand;
 * - `folder`: a folder that is being filled; it stays where its writer was killed, and is removed by hand;
 * - `rewrap`: a journal may name it, so only who reads the journal removes it.
 */
export type TemporaryKind = 'tmp' | 'part' | 'folder' | 'rewrap';

/** Enough that nobody guesses a name, nor puts something there first. */
const RANDOM_BYTES = 10;
const HASH_DIGITS = 12;

/**
 * A name for a temporary file beside `target`: `.ct-` and 37 letters more, whatever script and length the target's name is of.
 * It cannot be foreseen, and others than the writer have no use for it.
 */
export function temporaryName(target: string, kind: TemporaryKind): string {
  return `${prefixOf(target)}${randomBytes(RANDOM_BYTES).toString('hex')}.${kind}`;
}

/** Whether a name is one that `temporaryName` makes for this target. */
export function isTemporaryName(name: string, target: string, kind: TemporaryKind): boolean {
  const prefix = prefixOf(target);
  return name.startsWith(prefix) && ENDINGS[kind].test(name.slice(prefix.length));
}

const ENDINGS: Readonly<Record<TemporaryKind, RegExp>> = {
  tmp: /^[0-9a-f]{20}\.tmp$/,
  part: /^[0-9a-f]{20}\.part$/,
  folder: /^[0-9a-f]{20}\.folder$/,
  rewrap: /^[0-9a-f]{20}\.rewrap$/,
};

function prefixOf(target: string): string {
  return `.ct-${createHash('sha256').update(target).digest('hex').slice(0, HASH_DIGITS)}-`;
}
