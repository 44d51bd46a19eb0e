import { decryptModel, encryptModel } from '../index.js';
import type { DecryptOptions, EncryptModelOptions, EncryptedModelFiles } from '../index.js';
import { statusOf } from '../files/status.js';
import { isShardIndex } from '../model/shards.js';
import { runAsync } from '../twin.js';
import { usageError } from './cli-error.js';
import type { Flags } from './flag-table.js';
import { interruptible } from './interrupt.js';
import type { Output } from './output.js';
import { ProgressBar } from './progress.js';
import { count } from './sizes.js';
import { visibleName } from './terminal-text.js';

/** Whether a path is that of a model as a whole: its folder or its index. Commands then read and write folders. */
export async function isWholeModel(path: string): Promise<boolean> {
  return isShardIndex(path) || (await runAsync(statusOf(path)))?.isDirectory() === true;
}

/** Folders are made anew, and never replaced. */
export function refuseForce({ force }: Flags<'force'>): void {
  if (force === true) throw usageError('--force is for files: a folder is not replaced. Choose another target');
}

export async function encryptWhole(
  source: string,
  target: string,
  options: EncryptModelOptions,
  output: Output,
): Promise<void> {
  const progress = new ProgressBar('encrypting', output.quiet);
  const written = await interruptible((signal) =>
    encryptModel(source, target, { ...options, signal, onProgress: progress.report }),
  ).finally(() => progress.stop());
  for (const { name, reason } of written.left) output.warn(`${visibleName(name)} stays behind: ${reason}`);
  output.result({ source, target, ...written }, describe(target, written));
}

function describe(target: string, { id, weights, sealed, plain }: EncryptedModelFiles): string[] {
  return [
    `Wrote ${visibleName(target)}: the model ${id}`,
    `  ${count(weights.length, 'file')} of tensors, encrypted and signed`,
    ...(sealed.length === 0 ? [] : [`  ${count(sealed.length, 'file')} sealed: ${namesOf(sealed)}`]),
    ...(plain.length === 0
      ? []
      : [`  ${count(plain.length, 'file')} plain, bound by the signature: ${namesOf(plain)}`]),
  ];
}

const MAX_NAMES = 8;

function namesOf(names: readonly string[]): string {
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : '';
  return `${names.slice(0, MAX_NAMES).map(visibleName).join(', ')}${more}`;
}

export async function decryptWhole(
  source: string,
  target: string,
  options: DecryptOptions,
  output: Output,
): Promise<void> {
  const progress = new ProgressBar('decrypting', output.quiet);
  await interruptible((signal) =>
    decryptModel(source, target, { ...options, signal, onProgress: progress.report }),
  ).finally(() => progress.stop());
  output.warn(`${visibleName(target)} is plaintext: whoever can read that folder has the model`);
  output.result({ source, target }, [`Wrote ${visibleName(target)}: the model, verified and decrypted`]);
}
