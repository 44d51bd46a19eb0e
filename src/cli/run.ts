import { CommanderError } from 'commander';
import { usageError } from './cli-error.js';
import { ExitCode } from './exit-codes.js';
import { describeFailure } from './failure.js';
import { Output, complain } from './output.js';
import { createProgram } from './program.js';
import { visibleLines } from './terminal-text.js';

/**
 * Carries out one command line and says what the process is to exit with. Never throws.
 *
 * @param args the words behind `cryptotensors`
 */
export async function run(args: readonly string[]): Promise<number> {
  const { program, suppressed } = createProgram();
  try {
    await program.parseAsync(args, { from: 'user' });
    return ExitCode.ok;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return ExitCode.ok;
    return report(error, args, suppressed());
  }
}

/** `usage`: the help text that commander wanted to show on standard error, where no command was given. */
function report(error: unknown, args: readonly string[], usage: string): number {
  const output = new Output(givenBeforeParsing(args));
  const noCommand = error instanceof CommanderError && error.code === 'commander.help';
  const failure = describeFailure(noCommand ? usageError('no command was given') : error);
  if (noCommand && !output.json) complain(usage.trimEnd());
  else output.failure(failure, failure.exitCode === ExitCode.usage ? hint(args) : null);
  const debug = process.env['CRYPTOTENSORS_DEBUG'];
  if (debug !== undefined && debug !== '' && error instanceof Error) complain(visibleLines(error.stack ?? ''));
  return failure.exitCode;
}

/** The command line may be what is wrong, so these are looked for in its words. */
function givenBeforeParsing(args: readonly string[]): { json?: true; quiet?: true } {
  const end = args.indexOf('--');
  const words = end < 0 ? args : args.slice(0, end);
  return words.includes('--json') ? { json: true } : {};
}

function hint(args: readonly string[]): string {
  const command = args.find((word) => COMMANDS.includes(word));
  return `Try: cryptotensors ${command === undefined ? '' : `${command} `}--help`;
}

const COMMANDS: readonly string[] = createProgram().program.commands.map((command) => command.name());
