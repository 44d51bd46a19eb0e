/** Where a secret was found. */
export interface Hit {
  /** Its name. */
  needle: string;
  at: number;
  /** What the system calls the region. */
  region: string;
  /** As in `VmFlags` of /proc/self/smaps: `dd` is left out of core dumps, `lo` is locked. */
  flags: string[];
}

export const MASK: number;

/** Looks for secrets in this process's own memory: by name, each byte XORed with `MASK`, in hex. */
export function scan(needles: Record<string, string>): Hit[];
