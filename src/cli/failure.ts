import { CommanderError } from 'commander';
import { AbortError, CryptoTensorsError } from '../errors.js';
import { CliError, usageError } from './cli-error.js';
import { exitCodeOf } from './exit-codes.js';

/** An error as it is told to the user. */
export interface Failure {
  exitCode: number;
  /** What `--json` prints. */
  document: { error: { code: string; message: string } & Record<string, unknown> };
}

/** Fields of a `CryptoTensorsError` that are shown; all of them are safe to log. */
const DETAILS = ['path', 'tensor', 'chunk', 'expected', 'found', 'position', 'kid', 'systemCode'] as const;

export function describeFailure(thrown: unknown): Failure {
  const error = thrown instanceof CommanderError ? usageFromCommander(thrown) : thrown;
  const message = messageOf(error);
  return { exitCode: exitCodeOf(error), document: { error: { code: codeOf(error), message, ...detailsOf(error) } } };
}

function messageOf(error: unknown): string {
  if (error instanceof AbortError) return 'interrupted; nothing was left behind';
  return inCliWords(error instanceof Error ? error.message : String(error));
}

/** Commander's own prefix goes: every failure gets the same one. */
function usageFromCommander({ message }: CommanderError): CliError {
  return usageError(message.replace(/^error: /, ''));
}

function codeOf(error: unknown): string {
  if (error instanceof TypeError) return 'UsageError';
  if (!(error instanceof Error)) return 'Error';
  const { code } = error as Error & { code?: unknown };
  return typeof code === 'string' ? code : 'Error';
}

function detailsOf(error: unknown): Record<string, unknown> {
  if (error instanceof CliError) return { ...error.details };
  if (!(error instanceof CryptoTensorsError)) return {};
  return Object.fromEntries(DETAILS.filter((name) => error[name] !== undefined).map((name) => [name, error[name]]));
}

/** Options of the library that are spelt otherwise on the command line. */
const OPTION_NAMES: ReadonlyMap<string, string> = new Map([
  ['version', 'format-version'],
  ['policy.local', 'policy'],
  ['policy.remote', 'remote-policy'],
  ['policy.env', 'policy-env'],
  ['policy.deadlineMs', 'policy-deadline'],
  ['to.keys', 'new-keys'],
  ['to.encKid', 'new-enc-kid'],
  ['to.signKid', 'new-sign-kid'],
  ['to.policy.local', 'policy'],
  ['to.policy.remote', 'remote-policy'],
]);

/** The library's messages name its options; whoever sits at a shell knows them by their flags. */
export function inCliWords(message: string): string {
  return message
    .replace(
      /\boptions\.((?:to\.)?(?:policy\.)?[a-zA-Z]+)/g,
      (_, name: string) => `--${OPTION_NAMES.get(name) ?? kebab(name)}`,
    )
    .replace(/\b(?:allowPlain): true\b/g, '--allow-plain')
    .replace(/\bthe (keys|trust) option\b/g, '--$1');
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
