import { Option } from 'commander';
import type { Command } from 'commander';
import { encryptFile, inspectFile } from '../../index.js';
import type { AeadAlgorithm, DigestAlgorithm, EncryptOptions, Inspection } from '../../index.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { refuseExisting } from '../files.js';
import { addOutputFlags, addThreadsFlag, collect, given, policyTexts } from '../flags.js';
import { interruptible } from '../interrupt.js';
import { Output } from '../output.js';
import type { OutputFlags } from '../output.js';
import { Progress } from '../progress.js';
import { count, formatBytes, formatChunkSize, parseSize } from '../sizes.js';
import { visibleName } from '../terminal-text.js';

interface EncryptFlags extends OutputFlags {
  keys: string[];
  encKid?: string;
  signKid?: string;
  algorithm?: AeadAlgorithm;
  formatVersion?: '1' | '2';
  chunkSize?: number;
  tensors?: string[];
  policy?: string;
  remotePolicy?: string;
  integrity: DigestAlgorithm | 'none';
  threads?: number;
  force?: true;
}

export function addEncryptCommand(program: Command): void {
  const command = program
    .command('encrypt')
    .summary('encrypt and sign a plain safetensors file')
    .description(
      'Encrypts the tensors of a plain safetensors file and signs its header. Works from disk to disk in ' +
        'bounded memory. The target appears under its name when it is complete, or not at all.',
    )
    .argument('<source>', 'plain safetensors file; of a sharded model, one shard')
    .argument('<target>', 'file to write')
    .requiredOption(
      '-k, --keys <file>',
      'JWK set with the master key and a private signing key; may be repeated (required)',
      collect,
    )
    .option('--enc-kid <kid>', 'id of the master key to use (default: the first in --keys)')
    .option('--sign-kid <kid>', 'id of the signing key to use (default: the first in --keys that can sign)')
    .addOption(
      new Option('--algorithm <name>', "AEAD (default: the master key's own, else aes256gcm)").choices([
        'aes128gcm',
        'aes256gcm',
        'chacha20poly1305',
      ]),
    )
    .addOption(new Option('--format-version <n>', 'version of the file format (default: 2)').choices(['1', '2']))
    .option(
      '--chunk-size <size>',
      'bytes that can be read by themselves, such as 64KiB (default: 2MiB; version 2 only)',
      parseSize,
    )
    .option(
      '--tensors <pattern>',
      "encrypt only the tensors of this name or glob, such as 'encoder.*.weight'; may be repeated (default: all tensors)",
      collect,
    )
    .option(
      '--policy <file>',
      'Rego policy that is asked whenever the file is opened (default: one that always allows)',
    )
    .option(
      '--remote-policy <file>',
      'Rego policy for a key service; carried, not evaluated here (default: one that always allows)',
    )
    .addOption(
      new Option('--integrity <digest>', 'signed digests for the tensors that stay plain')
        .choices(['sha256', 'blake3', 'none'])
        .default('sha256'),
    )
    .option('-f, --force', 'replace the target if it exists (default: refuse)')
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors encrypt model.safetensors model.ct.safetensors --keys keys.json
  cryptotensors encrypt in.safetensors out.safetensors -k keys.json --tensors 'lm_head.*' --integrity blake3
  cryptotensors encrypt in.safetensors out.safetensors -k keys.json --policy licence.rego
${EXIT_CODE_HELP}`,
    );
  addOutputFlags(addThreadsFlag(command)).action(encrypt);
}

async function encrypt(source: string, target: string, flags: EncryptFlags): Promise<void> {
  const output = new Output(flags);
  const options = encryptOptions(flags);
  if (flags.force !== true) refuseExisting(target, 'Choose another target, or replace it with --force');
  const progress = new Progress('encrypting', output.quiet);
  await interruptible((signal) =>
    encryptFile(source, target, { ...options, signal, onProgress: progress.report }),
  ).finally(() => progress.stop());
  report(source, target, await inspectFile(target), output);
}

function encryptOptions(flags: EncryptFlags): EncryptOptions {
  return {
    keys: flags.keys,
    integrity: flags.integrity === 'none' ? false : flags.integrity,
    policy: policyTexts(flags),
    ...given({
      encKid: flags.encKid,
      signKid: flags.signKid,
      algorithm: flags.algorithm,
      version: flags.formatVersion === undefined ? undefined : (Number(flags.formatVersion) as 1 | 2),
      chunkSize: flags.chunkSize,
      tensors: flags.tensors,
      threads: flags.threads,
    }),
  };
}

function report(source: string, target: string, written: Inspection, output: Output): void {
  const { keys, integrity } = written.encryption!;
  const encrypted = written.tensors.filter(({ check }) => check === 'tag').length;
  const unprotected = written.tensors.filter(({ check }) => check === 'none').length;
  if (unprotected > 0) {
    output.warn(
      `${count(unprotected, 'tensor')} stay plain without a digest: changes to their bytes will not be noticed`,
    );
  }
  const document = {
    source,
    target,
    bytes: written.fileBytes,
    tensors: written.tensors.length,
    encrypted,
    unprotected,
    algorithm: keys.enc.algorithm,
    formatVersion: keys.version,
    chunkSize: keys.version === 2 ? keys.chunkSize : null,
    integrity,
    encKid: keys.enc.kid,
    signKid: keys.sign.kid,
  };
  const chunks = keys.version === 2 ? `, ${formatChunkSize(keys.chunkSize)} chunks` : '';
  output.result(document, [
    `Wrote ${visibleName(target)}: ${formatBytes(written.fileBytes)}, ${encrypted} of ${count(written.tensors.length, 'tensor')} encrypted`,
    `  ${keys.enc.algorithm}${chunks}; master key ${kid(keys.enc.kid)}, signed by ${kid(keys.sign.kid)}`,
  ]);
}

function kid(id: string | null): string {
  return id === null ? '(no kid)' : visibleName(id);
}
