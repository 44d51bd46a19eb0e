import type { Command } from 'commander';
import { decryptFile, inspectFile } from '../../index.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { addFlags } from '../flag-table.js';
import type { Flags } from '../flag-table.js';
import { addOpenFlags, addOutputFlags, given, openOptions } from '../flags.js';
import type { OpenFlags } from '../flags.js';
import { interruptible } from '../interrupt.js';
import { notEncrypted } from '../not-encrypted.js';
import { Output } from '../output.js';
import { newTargetOf, sourceOf } from '../paths.js';
import { ProgressBar } from '../progress.js';
import { count, formatBytes } from '../sizes.js';
import { visibleName } from '../terminal-text.js';
import { decryptWhole, isWholeModel, refuseForce } from '../whole-model.js';

type DecryptFlags = OpenFlags & Flags<'output' | 'force'>;

export function addDecryptCommand(program: Command): void {
  const command = program
    .command('decrypt')
    .summary('verify a file and write it as plain safetensors')
    .description(
      'Verifies an encrypted file and writes it as plain safetensors. Works from disk to disk in bounded ' +
        'memory; every chunk is verified before a byte of it is written. The target appears under its name ' +
        'when it is complete, or not at all. Programs need not do this: they can load the encrypted file.',
    )
    .argument('<source>', 'encrypted file, shard index, or folder with a model')
    .argument('[target]', 'plain safetensors file to write; of an index or a folder, the folder');
  addFlags(addOpenFlags(addFlags(command, { output: true })), { force: true });
  addOutputFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors decrypt model.ct.safetensors model.safetensors --keys keys.json
  cryptotensors decrypt model.ct.safetensors model.safetensors -k keys.json --claims '{"customer":"acme"}'
  CRYPTOTENSOR_KEYS="$(cat keys.json)" cryptotensors decrypt model.ct.safetensors model.safetensors
${EXIT_CODE_HELP}`,
    )
    .action(decrypt);
}

async function decrypt(source: string, argument: string | undefined, flags: DecryptFlags): Promise<void> {
  const output = new Output(flags);
  const options = openOptions(flags);
  const target = newTargetOf(argument, flags);
  if (await isWholeModel(sourceOf(source))) {
    refuseForce(flags);
    await decryptWhole(source, target, options, output);
    return;
  }
  const { encryption, tensors } = await inspectFile(sourceOf(source), given({ header: flags.header }));
  if (encryption === null && flags.allowPlain !== true) throw notEncrypted(source);
  const progress = new ProgressBar('decrypting', output.quiet);
  await interruptible((signal) =>
    decryptFile(source, target, { ...options, signal, onProgress: progress.report }),
  ).finally(() => progress.stop());
  output.warn(`${visibleName(target)} is plaintext: whoever can read that file has the model`);
  const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  output.result({ source, target, tensors: tensors.length, bytes, encrypted: encryption !== null }, [
    `Wrote ${visibleName(target)}: ${count(tensors.length, 'tensor')}, ${formatBytes(bytes)}, verified and decrypted`,
  ]);
}
