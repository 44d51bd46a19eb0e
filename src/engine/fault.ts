import { constants } from 'node:os';
import type { JobFault } from './types.js';

/** What the engine throws when byte work fails. The reader and the writer turn it into errors with names. */
export class EngineFault extends Error implements JobFault {
  readonly code: JobFault['code'];
  readonly tensor: number;
  readonly chunk: number;
  declare readonly systemCode?: string;

  constructor(code: JobFault['code'], message: string, { tensor = -1, chunk = -1, systemCode }: Place = {}) {
    super(message);
    this.code = code;
    this.tensor = tensor;
    this.chunk = chunk;
    if (systemCode !== undefined) this.systemCode = systemCode;
  }

  override get name(): string {
    return 'EngineFault';
  }
}

interface Place {
  tensor?: number;
  chunk?: number;
  systemCode?: string | undefined;
}

/** What the addon throws for a fault. */
interface NativeFault {
  code: JobFault['code'];
  message: string;
  tensor: number;
  chunk: number;
  errno: number;
}

/** Gives the addon's faults a class and a stack of their own; anything else passes through. */
export function asFault(error: unknown): unknown {
  if (!isNativeFault(error)) return error;
  const { code, message, tensor, chunk, errno } = error;
  return new EngineFault(code, message, { tensor, chunk, systemCode: systemCodes.get(errno) });
}

/** Calls the addon. */
export function guarded<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw asFault(error);
  }
}

function isNativeFault(error: unknown): error is NativeFault {
  return error instanceof Error && 'code' in error && 'tensor' in error && 'errno' in error;
}

/** `ENOENT`, … by number; where two names share a number, the first one. */
const systemCodes = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) {
  if (!systemCodes.has(number)) systemCodes.set(number, name);
}
