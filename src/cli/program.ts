import { createRequire } from 'node:module';
import { Command } from 'commander';
import type { OptionValues } from 'commander';
import { withoutPrototype } from '../options.js';
import { addBenchCommand } from './commands/bench.js';
import { addDecryptCommand } from './commands/decrypt.js';
import { addEncryptCommand } from './commands/encrypt.js';
import { addHeaderCommand } from './commands/header.js';
import { addInspectCommand } from './commands/inspect.js';
import { addLicenseCommand } from './commands/license.js';
import { addKeygenCommand } from './commands/keygen.js';
import { addPolicyCommand } from './commands/policy.js';
import { addRewrapCommand } from './commands/rewrap.js';
import { addVerifyCommand } from './commands/verify.js';
import { EXIT_CODE_HELP } from './exit-codes.js';

const { version } = createRequire(import.meta.url)('cryptotensors/package.json') as { version: string };

/** A command whose flags are those that were given, and none that stand on `Object.prototype`. */
class PlainCommand extends Command {
  override createCommand(name?: string): PlainCommand {
    return new PlainCommand(name);
  }

  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- as commander declares it
  override opts<Flags extends OptionValues>(): Flags {
    return withoutPrototype(super.opts<Flags>());
  }
}

/** The whole command line. Errors are thrown, not printed: `run` does that. */
export function createProgram(): Command {
  const program = new PlainCommand('cryptotensors')
    .description(
      'Encrypts, signs, checks and decrypts safetensors model files.\n\n' +
        'In a CryptoTensors file each tensor is encrypted by itself, so that a program can load just the ' +
        'tensors it needs. The header stays readable, but it is signed: nothing in it can be changed ' +
        'unnoticed. A policy can travel with the file and be asked whenever it is opened.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
    .addHelpText(
      'after',
      `
Example:
  cryptotensors keygen -o keys.json
  cryptotensors encrypt model.safetensors model.ct.safetensors --keys keys.json
  cryptotensors verify model.ct.safetensors --keys keys.json
${EXIT_CODE_HELP}

An error is one line on standard error; with --json it is a JSON document on
standard output. CRYPTOTENSORS_DEBUG=1 adds stack traces. No output ever holds a
key; only keygen writes keys, and only to the files that you name.`,
    );
  addKeygenCommand(program);
  addEncryptCommand(program);
  addDecryptCommand(program);
  addInspectCommand(program);
  addVerifyCommand(program);
  addPolicyCommand(program);
  addRewrapCommand(program);
  addHeaderCommand(program);
  addLicenseCommand(program);
  addBenchCommand(program);
  return program;
}
