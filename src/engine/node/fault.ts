import { getSystemErrorMap } from 'node:util';
import type { JobFault } from '../types.js';

/** What this engine throws when work on bytes fails: a `JobFault` that is an `Error`. */
export class EngineFault extends Error implements JobFault {
  readonly code: JobFault['code'];
  readonly tensor: number;
  readonly chunk: number;
  declare readonly systemCode?: string;

  constructor(code: JobFault['code'], message: string, at: { tensor?: number; chunk?: number; systemCode?: string } = {}) {
    super(message);
    this.code = code;
    this.tensor = at.tensor ?? -1;
    this.chunk = at.chunk ?? -1;
    if (at.systemCode !== undefined) this.systemCode = at.systemCode;
  }

  override get name(): string {
    return 'EngineFault';
  }

  /** The fault with the tensor that it concerns, where it does not name one itself. */
  at(tensor: number): EngineFault {
    return this.tensor >= 0 ? this : EngineFault.from({ ...this.toPlain(), tensor });
  }

  /** As plain data: errors lose their fields on the way between threads. */
  toPlain(): JobFault {
    const { code, message, tensor, chunk, systemCode } = this;
    return { code, message, tensor, chunk, ...(systemCode === undefined ? {} : { systemCode }) };
  }

  static from({ code, message, ...at }: JobFault): EngineFault {
    return new EngineFault(code, message, at);
  }
}

export function closed(name: string): EngineFault {
  return new EngineFault('Closed', `${name} has been closed or disposed of`);
}

export function aborted(): EngineFault {
  return new EngineFault('AbortError', 'The operation was aborted');
}

/** What a failed system call becomes: "cannot open: no such file or directory". */
export function systemFault(what: string, error: unknown): EngineFault {
  if (error instanceof EngineFault) return error;
  const { code, errno, message } = error as NodeJS.ErrnoException;
  const reason = errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1];
  return new EngineFault('FileError', `${what}: ${reason ?? message}`, code === undefined ? {} : { systemCode: code });
}

/** Whatever was thrown inside a job as a fault. */
export function asFault(error: unknown): EngineFault {
  if (error instanceof EngineFault) return error;
  return new EngineFault('InvalidOption', error instanceof Error ? error.message : String(error));
}

/** Whether `a` concerns an earlier chunk than `b`: of the faults that threads report, the first in the file counts. */
export function isEarlier(a: EngineFault, b: EngineFault): boolean {
  if (a.tensor < 0 || b.tensor < 0) return false;
  return a.tensor === b.tensor ? a.chunk < b.chunk : a.tensor < b.tensor;
}
