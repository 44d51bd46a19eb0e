import { isNativeError } from 'node:util/types';
import { CommanderError } from 'commander';
import type { Command } from 'commander';
import { ResultExit, usageError } from './cli-error.js';
import { ExitCode } from './exit-codes.js';
import { describeFailure } from './failure.js';
import { Output, complain } from './output.js';
import { createProgram } from './program.js';
import { rememberWords, withoutSecrets } from './secret-words.js';
import { visibleLines } from './terminal-text.js';

/**
 * Carries out one command line and says what the process is to exit with. Never throws.
 *
 * @param args the words behind `cryptotensors`
 */
export async function run(args: readonly string[]): Promise<number> {
  rememberWords(args);
  const program = createProgram();
  try {
    await program.parseAsync(args, { from: 'user' });
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return ExitCode.ok;
    if (error instanceof ResultExit) return error.exitCode;
    return report(error, args, program);
  }
}

function report(error: unknown, args: readonly string[], program: Command): number {
  // The command line may be what is wrong, so --json is looked for in its words.
  const output = new Output(words(args).includes('--json') ? { json: true } : {});
  // Commander has shown the help by itself, on standard error.
  const noCommand = error instanceof CommanderError && error.code === 'commander.help';
  const command = commandOf(args, program);
  const failure = describeFailure(noCommand ? usageError('no command was given') : error, command);
  if (!noCommand || output.json) {
    output.failure(failure, failure.exitCode === ExitCode.usage ? helpHint(command) : null);
  }
  const debug = process.env['CRYPTOTENSORS_DEBUG'];
  if (debug !== undefined && debug !== '' && isNativeError(error))
    complain(visibleLines(withoutSecrets(error.stack ?? '')));
  return failure.exitCode;
}

function helpHint(command: Command): string {
  const path: string[] = [];
  for (let outer: Command | null = command; outer !== null; outer = outer.parent) path.unshift(outer.name());
  return `Try: ${path.join(' ')} --help`;
}

/** The innermost command that the words name. */
function commandOf(args: readonly string[], program: Command): Command {
  let command = program;
  for (const word of words(args)) command = command.commands.find((inner) => inner.name() === word) ?? command;
  return command;
}

function words(args: readonly string[]): readonly string[] {
  const end = args.indexOf('--');
  return end < 0 ? args : args.slice(0, end);
}
