import { closeSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { systemCodeOf } from './system-error.js';

/** `EMFILE` or `ENFILE` if the process or the system has no file descriptor left at this moment. Opens a file that is there: this one. */
export function lackOfDescriptors(): 'EMFILE' | 'ENFILE' | undefined {
  try {
    closeSync(openSync(fileURLToPath(import.meta.url), 'r'));
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === 'EMFILE' || code === 'ENFILE') return code;
  }
  return undefined;
}
