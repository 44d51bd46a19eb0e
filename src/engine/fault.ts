import type { FaultSide, JobFault } from './types.js';

/** What the engine throws when byte work fails. The reader and the writer turn it into errors with names. */
export class EngineFault extends Error implements JobFault {
  readonly code: JobFault['code'];
  readonly side: FaultSide;
  readonly tensor: number;
  readonly chunk: number;
  declare readonly systemCode?: string;

  constructor(
    code: JobFault['code'],
    message: string,
    { tensor = -1, chunk = -1, side = 'source', systemCode }: Where = {},
  ) {
    super(message);
    this.code = code;
    this.side = side;
    this.tensor = tensor;
    this.chunk = chunk;
    if (systemCode !== undefined) this.systemCode = systemCode;
  }

  override get name(): string {
    return 'EngineFault';
  }
}

interface Where {
  side?: FaultSide;
  tensor?: number;
  chunk?: number;
  systemCode?: string | undefined;
}
