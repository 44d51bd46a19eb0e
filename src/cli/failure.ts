import { isErrorOfKind } from '../options.js';
import { isNativeError } from 'node:util/types';
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { AbortError, CryptoTensorsError } from '../errors.js';
import { CliError, usageError } from './cli-error.js';
import { exitCodeOf } from './exit-codes.js';
import { flagOf } from './flag-table.js';
import { withoutSecrets } from './secret-words.js';

/** An error as it is told to the user. */
export interface Failure {
  exitCode: number;
  /** What `--json` prints. */
  document: { error: { code: string; message: string } & Record<string, unknown> };
}

/** Fields of a `CryptoTensorsError` that are shown; all of them are safe to log. */
const DETAILS = ['path', 'tensor', 'chunk', 'expected', 'found', 'position', 'kid', 'systemCode', 'retryable'] as const;

/** @param command the command that failed, whose flags a message may name */
export function describeFailure(thrown: unknown, command?: Command): Failure {
  const error = thrown instanceof CommanderError ? usageFromCommander(thrown) : thrown;
  const document = { error: { code: codeOf(error), message: messageOf(error, command), ...detailsOf(error) } };
  return { exitCode: exitCodeOf(error), document: withoutSecrets(document) };
}

function messageOf(error: unknown, command: Command | undefined): string {
  if (error instanceof AbortError) return 'interrupted; nothing was left behind';
  return inCliWords(isNativeError(error) ? error.message : String(error), command);
}

/** Commander's own prefix goes: every failure gets the same one. */
function usageFromCommander({ message }: CommanderError): CliError {
  return usageError(message.replace(/^error: /, ''));
}

function codeOf(error: unknown): string {
  if (isErrorOfKind(error, 'TypeError')) return 'UsageError';
  if (!isNativeError(error)) return 'Error';
  const { code } = error as Error & { code?: unknown };
  return typeof code === 'string' ? code : 'Error';
}

function detailsOf(error: unknown): Record<string, unknown> {
  if (error instanceof CliError) return { ...error.details };
  if (!(error instanceof CryptoTensorsError)) return {};
  return Object.fromEntries(DETAILS.filter((name) => error[name] !== undefined).map((name) => [name, error[name]]));
}

/** How the library's messages name its options: `options.to.keys`, `allowPlain: true`, `the trust or keys option`. */
const MENTION =
  /\boptions\.((?:[a-z]+\.)*[a-zA-Z]+)|\b(allowPlain): true\b|\bthe (keys|trust)(?: or (keys|trust))? option\b/g;

/**
 * The library's messages name its options; whoever sits at a shell knows them by their flags. A piece of advice about an option that
 * this command has no flag for is left out.
 *
 * @param command the command that failed; without it every flag counts as there
 */
export function inCliWords(message: string, command?: Command): string {
  const [problem = '', ...advice] = message.split(/(?<=\.) (?=[A-Z])/);
  const flag = (option: string): string | undefined => flagOf(option, command);
  const helps = (sentence: string): boolean =>
    [...sentence.matchAll(MENTION)].every((found) => found.slice(1).every((name) => !name || flag(name) !== undefined));
  const translate = (sentence: string): string =>
    sentence.replace(MENTION, (mention, ...names: (string | undefined)[]) => {
      const flags = names.slice(0, 4).flatMap((name) => (name === undefined ? [] : (flag(name) ?? [])));
      return flags.length === 0 ? mention : flags.join(' or ');
    });
  return [problem, ...advice.filter(helps)].map(translate).join(' ');
}
