import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** `ENOENT`, … by number; where two names share a number, the first one. */
const codes = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) {
  if (!codes.has(number)) codes.set(number, name);
}

/** What the system calls an errno, as `errno` counts it in C: positive. */
export function systemCodeOf(errno: number): string | undefined {
  return codes.get(errno);
}

/** What Node has no words for, though the operating system says it. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ['EDQUOT', 'disk quota exceeded'],
  ['ESTALE', 'stale file handle'],
]);

/** A failed system call of Node's, as data. */
export interface SystemError {
  /** `ENOENT`, …; Node itself says "Unknown system error -122" of those that it does not know. */
  code: string;
  /** In words: "no such file or directory". */
  words: string;
}

/** What a failed system call of `node:fs` says; null for any other error. */
export function asSystemError(error: unknown): SystemError | null {
  if (typeof error !== 'object' || error === null) return null;
  const { code, errno, message, syscall } = error as NodeJS.ErrnoException;
  if (typeof code !== 'string' || (errno === undefined && syscall === undefined)) return null;
  const known = errno === undefined ? undefined : getSystemErrorMap().get(errno);
  const name = known?.[0] ?? (errno === undefined ? undefined : systemCodeOf(Math.abs(errno))) ?? code;
  return { code: name, words: known?.[1] ?? WORDS.get(name) ?? message };
}
