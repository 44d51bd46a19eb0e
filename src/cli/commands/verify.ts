import type { Command } from 'commander';
import { verifyFile } from '../../index.js';
import type { OpenOptions, Verification } from '../../index.js';
import { CliError } from '../cli-error.js';
import { forEachFile } from '../each-file.js';
import type { FileResult } from '../each-file.js';
import { EXIT_CODE_HELP, ExitCode } from '../exit-codes.js';
import { addFlags } from '../flag-table.js';
import type { Flags } from '../flag-table.js';
import { addOpenFlags, addOutputFlags, openOptions } from '../flags.js';
import type { OpenFlags } from '../flags.js';
import { interruptible } from '../interrupt.js';
import { notEncrypted } from '../not-encrypted.js';
import { Output } from '../output.js';
import { ProgressBar } from '../progress.js';
import { count, formatBytes } from '../sizes.js';
import { visibleName } from '../terminal-text.js';

type VerifyFlags = OpenFlags & Flags<'requireProtected'>;

/** Names that a text result lists; the JSON document has them all. */
const MAX_NAMES = 5;

export function addVerifyCommand(program: Command): void {
  const command = program
    .command('verify')
    .summary('check every byte of a file or sharded model, writing nothing')
    .description(
      "Checks the header's signature, the signer, the file's policy and every byte of every tensor, in bounded " +
        'memory. Writes nothing. A plain file has nothing to check and is refused.',
    )
    .argument('<files...>', 'encrypted files, or the *.safetensors.index.json of sharded models');
  addFlags(addOpenFlags(command), { requireProtected: true });
  addOutputFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors verify model.ct.safetensors --keys keys.json
  cryptotensors verify model.ct.safetensors -k keys.json --trust vendor-public.json --require-protected
  cryptotensors verify model.safetensors.index.json -k keys.json --json | jq '.files[].pins'
  cryptotensors verify *.safetensors -k keys.json
${EXIT_CODE_HELP}`,
    )
    .action(verify);
}

async function verify(paths: readonly string[], flags: VerifyFlags): Promise<void> {
  const output = new Output(flags);
  const options = openOptions(flags);
  await forEachFile(paths, output, (path) => verifyOne(path, options, flags, output));
}

async function verifyOne(path: string, options: OpenOptions, flags: VerifyFlags, output: Output): Promise<FileResult> {
  const progress = new ProgressBar('verifying', output.quiet);
  const found = await interruptible((signal) =>
    verifyFile(path, { ...options, signal, onProgress: progress.report }),
  ).finally(() => progress.stop());
  if (!found.encrypted && flags.allowPlain !== true) throw notEncrypted(path);
  if (found.unprotected.length > 0) judgeUnprotected(found, flags, output);
  return report(path, found);
}

function judgeUnprotected({ unprotected, tensors }: Verification, flags: VerifyFlags, output: Output): void {
  const names = unprotected.slice(0, MAX_NAMES).map(visibleName).join(', ');
  const more = unprotected.length > MAX_NAMES ? ` and ${unprotected.length - MAX_NAMES} more` : '';
  const text = `${unprotected.length} of ${count(tensors, 'tensor')} ${unprotected.length === 1 ? 'is' : 'are'} covered by neither a tag nor a digest: ${names}${more}`;
  if (flags.requireProtected === true) {
    throw new CliError('Unprotected', ExitCode.failed, text, { unprotected });
  }
  output.warn(`${text}. Changes to their bytes cannot be noticed`);
}

function report(path: string, found: Verification): FileResult {
  const { encrypted, signers, pins, tensors, bytes, unprotected } = found;
  const document = {
    path,
    encrypted,
    signers,
    pins,
    tensors,
    bytes,
    protected: tensors - unprotected.length,
    unprotected,
    files: found.files,
    unlisted: found.unlisted,
  };
  const kids = [...new Set(signers.map((kid) => (kid === null ? '(no kid)' : visibleName(kid))))].join(', ');
  const lines = [
    encrypted
      ? `${visibleName(path)}: verified, signed by ${kids}`
      : `${visibleName(path)}: a plain file; its structure is sound, nothing else could be checked`,
    `  ${tensors - unprotected.length} of ${count(tensors, 'tensor')} verified, ${formatBytes(bytes)} in all`,
    ...(found.files.length === 0 ? [] : [`  ${count(found.files.length, 'file')} beside the weights verified`]),
    ...found.unlisted.map((name) => `  ${visibleName(name)} does not belong to the model: nobody vouches for it`),
    ...pins.map((pin) => `  pin ${pin}`),
  ];
  return { document, lines };
}
