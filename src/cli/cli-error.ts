/** A failure that only the command line knows: what a `CryptoTensorsError` is for the library. */
export class CliError extends Error {
  readonly code: 'UsageError' | 'Unprotected';
  readonly exitCode: number;
  /** Further fields for `--json`; safe to log. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: CliError['code'],
    exitCode: number,
    message: string,
    details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.code = code;
    this.exitCode = exitCode;
    this.details = details;
  }

  override get name(): string {
    return 'CliError';
  }
}

/** The command line is wrong: exit code 2. */
export function usageError(message: string): CliError {
  return new CliError('UsageError', 2, message);
}

/** The result has been printed, and it is a no: all that is left to say is the exit code. */
export class ResultExit extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }

  override get name(): string {
    return 'ResultExit';
  }
}
