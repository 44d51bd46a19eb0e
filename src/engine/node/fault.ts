import { EngineFault } from '../fault.js';
import { asSystemError } from '../system-codes.js';
import type { JobFault } from '../types.js';

export { EngineFault } from '../fault.js';

export function closed(name: string): EngineFault {
  return new EngineFault('Closed', `${name} has been closed or disposed of`);
}

export function aborted(): EngineFault {
  return new EngineFault('AbortError', 'The operation was aborted');
}

/** What a failed system call becomes: "cannot open: no such file or directory". Anything else passes through. */
export function systemFault(what: string, error: unknown): unknown {
  const failure = asSystemError(error);
  if (failure === null) return error;
  return new EngineFault('FileError', `${what}: ${failure.words}`, { systemCode: failure.code });
}

/** Whatever was thrown inside a job as a fault. */
export function asFault(error: unknown): EngineFault {
  if (error instanceof EngineFault) return error;
  return new EngineFault('InvalidOption', error instanceof Error ? error.message : String(error));
}

/** The fault as one of another tensor and chunk. */
export function relocated(fault: EngineFault, place: { tensor: number; chunk: number }): EngineFault {
  return new EngineFault(fault.code, fault.message, { ...place, systemCode: fault.systemCode });
}

/** As plain data: errors lose their fields on the way between threads. */
export function toPlain({ code, message, tensor, chunk, systemCode }: EngineFault): JobFault {
  return { code, message, tensor, chunk, ...(systemCode === undefined ? {} : { systemCode }) };
}

export function fromPlain({ code, message, ...place }: JobFault): EngineFault {
  return new EngineFault(code, message, place);
}

/** Whether `a` concerns an earlier chunk than `b`: of the faults that threads report, the first in the file counts. */
export function isEarlier(a: EngineFault, b: EngineFault): boolean {
  if (a.tensor < 0 || b.tensor < 0) return false;
  return a.tensor === b.tensor ? a.chunk < b.chunk : a.tensor < b.tensor;
}
