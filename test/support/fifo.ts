import { execFileSync } from 'node:child_process';

/** Makes a named pipe, which blocks whoever opens it for reading. */
export function mkfifoSync(path: string): string {
  execFileSync('mkfifo', [path]);
  return path;
}
