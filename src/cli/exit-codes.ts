import { isErrorOfKind } from '../options.js';
import { AbortError, CryptoTensorsError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import { CliError } from './cli-error.js';

/** What the process exits with. Documented in every help text and stable: scripts depend on it. */
export const ExitCode = {
  ok: 0,
  /** The file was refused, or the work failed. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The file may be fine, but not for this caller: keys, trust or policy say no. */
  refused: 3,
  /** Ended by Ctrl-C (as shells count it: 128 + SIGINT) or SIGTERM. */
  interrupted: 130,
} as const;

const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'KeyNotFound',
  'KeyUnavailable',
  'InvalidKey',
  'KeyRevoked',
  'UntrustedSigner',
  'PinMismatch',
  'PolicyDenied',
  'PolicyError',
  'NotEncrypted',
  'LicenseMismatch',
  'LicenseExpired',
  'LicenseNotYetValid',
]);

export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  if (error instanceof AbortError) return ExitCode.interrupted;
  if (error instanceof CryptoTensorsError) {
    if (REFUSALS.has(error.code)) return ExitCode.refused;
    return error.code === 'InvalidOption' ? ExitCode.usage : ExitCode.failed;
  }
  return isErrorOfKind(error, 'TypeError') ? ExitCode.usage : ExitCode.failed;
}

/** For the end of the help texts. */
export const EXIT_CODE_HELP = `
Exit codes:
  0    done
  1    the file was refused as damaged, changed or malformed, or the work failed
  2    the command line is wrong
  3    refused for want of a key or of trust in the signer, by a pin, by a
       licence or by the file's policy; or the file is plain although it should
       be encrypted
  130  ended by Ctrl-C or SIGTERM; nothing was left behind`;
