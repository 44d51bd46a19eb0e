import type { Command } from 'commander';
import { encryptFile, inspectFile } from '../../index.js';
import type { EncryptOptions, Inspection } from '../../index.js';
import { leadToOneFile, linkStatusOf } from '../../files/status.js';
import { runSync } from '../../twin.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { addFlags } from '../flag-table.js';
import type { Flags } from '../flag-table.js';
import { addOutputFlags, given, policyTexts } from '../flags.js';
import type { OutputFlags } from '../flags.js';
import { keyInputs } from '../key-inputs.js';
import { interruptible } from '../interrupt.js';
import { Output } from '../output.js';
import { newTargetOf, sourceOf } from '../paths.js';
import { ProgressBar } from '../progress.js';
import { count, formatBytes, formatChunkSize } from '../sizes.js';
import { visibleName } from '../terminal-text.js';
import { encryptWhole, isWholeModel, refuseForce } from '../whole-model.js';

type EncryptFlags = OutputFlags &
  Flags<
    | 'keys' | 'encKid' | 'signKid' | 'algorithm' | 'formatVersion' | 'chunkSize' | 'tensors' | 'policy' | 'remotePolicy'
    | 'integrity' | 'threads' | 'output' | 'force'
  >; // prettier-ignore

export function addEncryptCommand(program: Command): void {
  const command = program
    .command('encrypt')
    .summary('encrypt and sign a plain safetensors file, or a folder with a model')
    .description(
      'Encrypts the tensors of a plain safetensors file and signs its header. Works from disk to disk in ' +
        'bounded memory. The target appears under its name when it is complete, or not at all. Of a folder, the ' +
        'tensors are encrypted, text and pictures copied and bound by the signature, and all other files sealed.',
    )
    .argument('<source>', 'plain safetensors file, shard index, or folder with a model')
    .argument('[target]', 'file to write; of an index or a folder, the folder')
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors encrypt model.safetensors model.ct.safetensors --keys keys.json
  cryptotensors encrypt models/minilm models/minilm-encrypted --keys keys.json
  cryptotensors encrypt in.safetensors out.safetensors -k keys.json --tensors 'lm_head.*' --integrity blake3
  cryptotensors encrypt in.safetensors out.safetensors -k keys.json --policy license.rego
${EXIT_CODE_HELP}`,
    );
  addFlags(command, {
    output: true,
    keys:
      'JWK set with the master key and a private signing key; may be repeated ' +
      '(default: the environment variable CRYPTOTENSOR_KEYS)',
    encKid: 'id of the master key to use (default: the first in --keys)',
    signKid: 'id of the signing key to use (default: the first in --keys that can sign)',
    algorithm: true,
    formatVersion: true,
    chunkSize: true,
    tensors: true,
    policy: true,
    remotePolicy: true,
    integrity: true,
    force: true,
    threads: true,
  });
  addOutputFlags(command).action(encrypt);
}

async function encrypt(source: string, argument: string | undefined, flags: EncryptFlags): Promise<void> {
  const output = new Output(flags);
  const options = encryptOptions(flags);
  const target = newTargetOf(argument, flags);
  if (await isWholeModel(sourceOf(source))) {
    refuseForce(flags);
    await encryptWhole(source, target, options, output);
    return;
  }
  const replaced = await whatIsReplaced(sourceOf(source), target);
  const progress = new ProgressBar('encrypting', output.quiet);
  await interruptible((signal) =>
    encryptFile(source, target, { ...options, signal, onProgress: progress.report }),
  ).finally(() => progress.stop());
  if (replaced !== null) output.warn(replaced);
  report(source, target, await inspectFile(target), output);
}

/** What the user should know of a target that `--force` lets go; null if there is nothing to say. */
async function whatIsReplaced(source: string, target: string): Promise<string | null> {
  if (runSync(leadToOneFile(source, target))) {
    return `${visibleName(target)} was the plain model itself: from now on it is there encrypted only, and lost without the keys`;
  }
  if (linkStatusOf(target) === null) return null;
  const { encryption } = await inspectFile(target).catch(() => ({ encryption: null }));
  return encryption === null
    ? null
    : `${visibleName(target)} was an encrypted file and is another one now: licences and detached headers that were made for it, ` +
        'and pins of it, are void';
}

function encryptOptions(flags: EncryptFlags): EncryptOptions {
  return {
    policy: policyTexts(flags),
    ...given({
      keys: keyInputs(flags.keys),
      integrity: flags.integrity === 'none' ? (false as const) : flags.integrity,
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
