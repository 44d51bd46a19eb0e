import type { Command } from 'commander';
import { attachHeader, detachHeader } from '../../index.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { addFlags } from '../flag-table.js';
import type { Flags } from '../flag-table.js';
import { addOutputFlags, given } from '../flags.js';
import type { OutputFlags } from '../flags.js';
import { interruptible } from '../interrupt.js';
import { Output } from '../output.js';
import { newTargetOf, sourceOf } from '../paths.js';
import { ProgressBar } from '../progress.js';
import { visibleName } from '../terminal-text.js';

type HeaderFlags = OutputFlags & Flags<'output' | 'force'>;
type AttachFlags = HeaderFlags & Flags<'threads'>;

export function addHeaderCommand(program: Command): void {
  const header = program
    .command('header')
    .summary('take the header off a file, or put one on')
    .description(
      'One body can have many headers: one per customer, key or policy. A header by itself opens the body with --header; ' +
        'attached to it, it makes an ordinary file.',
    );
  addDetach(header);
  addAttach(header);
}

function addDetach(header: Command): void {
  const command = header
    .command('detach')
    .summary('write the header of a file to a file by itself')
    .description('Writes the header of a file to a file by itself. Its structure is checked; its signature is not.')
    .argument('<file>', 'file whose header is wanted')
    .argument('[target]', 'file to write')
    .addHelpText(
      'after',
      `
Example:
  cryptotensors header detach model.ct.safetensors model.header
${EXIT_CODE_HELP}`,
    );
  addOutputFlags(addFlags(command, { output: true, force: true })).action(detach);
}

async function detach(file: string, argument: string | undefined, flags: HeaderFlags): Promise<void> {
  const output = new Output(flags);
  const target = newTargetOf(argument, flags);
  await detachHeader(sourceOf(file), target);
  output.result({ file, target }, [`Wrote ${visibleName(target)}: the header of ${visibleName(file)}`]);
}

function addAttach(header: Command): void {
  const command = header
    .command('attach')
    .summary('make an ordinary file of a body and a header')
    .description(
      'Makes an ordinary file of the data of one file and a header that was made for it. Every reader of the format ' +
        'opens it. Whether the header is genuine is checked whenever the file is opened.',
    )
    .argument('<body>', 'file that the data comes from')
    .argument('<header>', 'file that holds a header by itself')
    .argument('[target]', 'file to write')
    .addHelpText(
      'after',
      `
Example:
  cryptotensors header attach model.ct.safetensors customer.header customer.safetensors
${EXIT_CODE_HELP}`,
    );
  addOutputFlags(addFlags(command, { output: true, force: true, threads: true })).action(attach);
}

async function attach(body: string, header: string, argument: string | undefined, flags: AttachFlags): Promise<void> {
  const output = new Output(flags);
  const target = newTargetOf(argument, flags);
  const progress = new ProgressBar('copying', output.quiet);
  await interruptible((signal) =>
    attachHeader(sourceOf(body), sourceOf(header), target, {
      ...given({ threads: flags.threads }),
      signal,
      onProgress: progress.report,
    }),
  ).finally(() => progress.stop());
  output.result({ body, header, target }, [
    `Wrote ${visibleName(target)}: the data of ${visibleName(body)} under ${visibleName(header)}`,
  ]);
}
