import { readdirSync, readlinkSync } from 'node:fs';
import { platform } from 'node:process';

/** How many descriptors of this process are open on `path`. Only Linux tells; elsewhere there is nothing to compare: 0. */
export function descriptorsOf(path: string): number {
  if (platform !== 'linux') return 0;
  return readdirSync('/proc/self/fd').filter((fd) => targetOf(fd) === path).length;
}

function targetOf(fd: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    // The descriptor that read the folder is closed by now.
    return null;
  }
}
