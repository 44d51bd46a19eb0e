import { isNativeError } from 'node:util/types';
import { EngineFault } from './fault.js';
import { systemCodeOf } from './system-codes.js';
import type { FaultSide, JobFault } from './types.js';

/** What the addon throws for a fault. */
interface NativeFault {
  code: JobFault['code'];
  message: string;
  side: FaultSide;
  tensor: number;
  chunk: number;
  errno: number;
}

/** Gives the addon's faults a class and a stack of their own; anything else passes through. */
export function asFault(error: unknown): unknown {
  if (!isNativeFault(error)) return error;
  const { code, message, side, tensor, chunk, errno } = error;
  return new EngineFault(code, message, { side, tensor, chunk, systemCode: systemCodeOf(errno) });
}

/** Calls the addon. */
export function guarded<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw asFault(error);
  }
}

/** What is done at once, for those who await it. */
export function promised<Result>(call: () => Result): Promise<Result> {
  return new Promise((resolve) => resolve(call()));
}

function isNativeFault(error: unknown): error is NativeFault {
  return isNativeError(error) && ['code', 'tensor', 'errno'].every((member) => Object.hasOwn(error, member));
}
