import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import type { JournalOwner } from './page.js';

/** This process, as a journal names it. */
export function thisProcess(): JournalOwner {
  return {
    pid: process.pid,
    host: hostname(),
    boot: read(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()),
    namespace: read(() => readlinkSync('/proc/self/ns/pid')),
    started: startOf(process.pid),
  };
}

/** Whether a process that made a journal is still there; unknown if it ran where this one cannot look. */
export function isAlive(owner: JournalOwner): boolean | 'unknown' {
  const here = thisProcess();
  if (owner.host !== here.host) return 'unknown';
  if (owner.boot !== here.boot) return owner.boot === null || here.boot === null ? 'unknown' : false;
  if (owner.namespace !== here.namespace) return 'unknown';
  if (here.started !== null) {
    const started = startOf(owner.pid);
    return started !== null && started === owner.started;
  }
  try {
    process.kill(owner.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/**
 * When a process was started, so that another one that got its number is not taken for it. Null if there is none, if it has
 * ended and merely was not waited for, or if the system has no /proc.
 */
function startOf(pid: number): string | null {
  // The command's name, in parentheses, may hold anything; what follows its last one are numbers (proc(5)).
  const fields = read(() => readFileSync(`/proc/${pid}/stat`, 'latin1'))
    ?.replace(/^.*\)/s, '')
    .trim()
    .split(' ');
  if (fields === undefined || fields[0] === 'Z' || fields[0] === 'X') return null;
  return fields[19] ?? null;
}

function read(work: () => string): string | null {
  try {
    return work();
  } catch {
    return null;
  }
}
