import { isErrorOfKind } from '../options.js';
import { isNativeError } from 'node:util/types';
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { AbortError, CryptoTensorsError } from '../errors.js';
import { CliError, usageError } from './cli-error.js';
import { exitCodeOf } from './exit-codes.js';
import { flagOf } from './flag-table.js';
import { OptionMention, wordingOf } from '../wording.js';
import type { Part, Wording } from '../wording.js';
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
  const document = {
    error: {
      code: codeOf(error),
      message: messageOf(error, command),
      ...detailsOf(error),
      ...optionOf(error, command),
    },
  };
  return { exitCode: exitCodeOf(error), document: withoutSecrets(document) };
}

function messageOf(error: unknown, command: Command | undefined): string {
  if (error instanceof AbortError) return 'interrupted; nothing was left behind';
  return isNativeError(error) ? inCliWords(wordingOf(error), command) : String(error);
}

const COMMANDERS = 'error: ';

/** Commander's own prefix goes: every failure gets the same one. */
function usageFromCommander({ message }: CommanderError): CliError {
  return usageError(message.startsWith(COMMANDERS) ? message.slice(COMMANDERS.length) : message);
}

function codeOf(error: unknown): string {
  if (isErrorOfKind(error, 'TypeError')) return 'UsageError';
  if (!isNativeError(error)) return 'Error';
  const { code } = error as Error & { code?: unknown };
  return typeof code === 'string' ? code : 'Error';
}

/** The option to blame, by the flag that stands for it. */
function optionOf(error: unknown, command: Command | undefined): { option?: string } {
  const option = isNativeError(error) ? (error as Error & { option?: unknown }).option : undefined;
  return typeof option === 'string' ? { option: flagOf(option, command) ?? option } : {};
}

function detailsOf(error: unknown): Record<string, unknown> {
  if (error instanceof CliError) return { ...error.details };
  if (!(error instanceof CryptoTensorsError)) return {};
  return Object.fromEntries(DETAILS.filter((name) => error[name] !== undefined).map((name) => [name, error[name]]));
}

/**
 * The library's messages speak of its options; whoever sits at a shell knows them by their flags. A piece of advice about an option
 * that this command has no flag for is left out.
 *
 * @param command the command that failed; without it every flag counts as there
 */
export function inCliWords({ problem, advice }: Wording, command?: Command): string {
  const flag = (part: Part): string | undefined =>
    part instanceof OptionMention ? flagOf(part.option, command) : undefined;
  const helps = (sentence: readonly Part[]): boolean =>
    sentence.every((part) => typeof part === 'string' || flag(part) !== undefined);
  const translate = (sentence: readonly Part[]): string => sentence.map((part) => flag(part) ?? String(part)).join('');
  return [problem, ...advice.filter(helps)].map(translate).join('. ');
}
