import type { Command } from 'commander';
import { recoverFile, rewrapFile } from '../../index.js';
import type { RewrapOptions, RewrappedFile } from '../../index.js';
import { usageError } from '../cli-error.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { addFlags } from '../flag-table.js';
import type { FlagName, Flags } from '../flag-table.js';
import { addOpenFlags, addOutputFlags, given, openOptions, policyTexts, refuseFlags } from '../flags.js';
import type { OpenFlags } from '../flags.js';
import { keyInputs } from '../key-inputs.js';
import { interruptible } from '../interrupt.js';
import { Output } from '../output.js';
import { newTargetOf, sourceOf } from '../paths.js';
import { ProgressBar } from '../progress.js';
import { count } from '../sizes.js';
import { visibleName } from '../terminal-text.js';

type RewrapFlags = OpenFlags &
  Flags<
    | 'newKeys' | 'newEncKid' | 'newSignKid' | 'policy' | 'remotePolicy' | 'output' | 'detached' | 'verify'
    | 'overrulePolicy' | 'recover' | 'force'
  >; // prettier-ignore

export function addRewrapCommand(program: Command): void {
  const command = program
    .command('rewrap')
    .summary('give an encrypted file or sharded model other keys, or another policy')
    .description(
      'Wraps the data keys under a new master key and signs the header anew. The data is neither decrypted nor ' +
        'changed. Where the new header fits it is written in place; otherwise the file is replaced by a copy. A crash ' +
        'leaves the old file or the new one, and of a sharded model all files old or all new.',
    )
    .argument('<file>', 'encrypted file, or the *.safetensors.index.json of a sharded model');
  addFlags(addOpenFlags(command), {
    newKeys: true,
    newEncKid: true,
    newSignKid: true,
    policy: 'new Rego policy that is asked whenever the file is opened (default: keep the old one)',
    remotePolicy: 'new Rego policy for a key service (default: keep the old one)',
    output:
      'write a new file (of a sharded model: an index in another folder) and leave this one as it is (default: in place)',
    detached: true,
    verify: true,
    overrulePolicy: true,
    recover: true,
    force: true,
  });
  addOutputFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors rewrap model.ct.safetensors --keys old.json --new-keys new.json
  cryptotensors rewrap model.ct.safetensors -k keys.json -n keys.json --policy license.rego
  cryptotensors rewrap model.ct.safetensors -k keys.json -n customer.json --detached -o customer.header
  cryptotensors rewrap model.ct.safetensors --recover
${EXIT_CODE_HELP}`,
    )
    .action(rewrap);
}

async function rewrap(path: string, flags: RewrapFlags): Promise<void> {
  const output = new Output(flags);
  if (flags.recover === true) {
    const others = Object.keys(flags) as FlagName[];
    refuseFlags(
      flags,
      others.filter((name) => !['recover', 'json', 'quiet'].includes(name)),
      'with --recover',
    );
    await recover(path, output);
    return;
  }
  const target = flags.output === undefined ? undefined : newTargetOf(undefined, flags);
  const options = rewrapOptions(flags, target);
  const progress = new ProgressBar('rewrapping', output.quiet);
  const files = await interruptible((signal) =>
    rewrapFile(sourceOf(path), { ...options, signal, onProgress: progress.report }),
  ).finally(() => progress.stop());
  output.result({ path, files }, describe(path, files));
}

async function recover(path: string, output: Output): Promise<void> {
  const recovery = await recoverFile(path);
  const text = {
    nothing: 'no rewrap was interrupted',
    undone: 'a rewrap was interrupted before it changed anything; what it left is removed',
    finished: 'a rewrap was interrupted, and is finished now',
  }[recovery];
  output.result({ path, recovery }, [`${visibleName(path)}: ${text}`]);
}

function rewrapOptions(flags: RewrapFlags, target: string | undefined): RewrapOptions {
  if (flags.overrulePolicy === true) {
    refuseFlags(flags, ['claims', 'policyEnv', 'policyFuel'], 'with --overrule-policy, which asks no policy');
  }
  if (flags.newKeys === undefined) throw usageError('--new-keys is missing: the file with the keys to rewrap to');
  if (flags.detached === true && target === undefined) {
    throw usageError('--detached needs --output: where to write the header');
  }
  return {
    ...openOptions(flags),
    ...(flags.overrulePolicy === true ? { policy: { evaluate: () => true } } : {}),
    to: {
      keys: keyInputs(flags.newKeys)!,
      policy: policyTexts(flags),
      ...given({ encKid: flags.newEncKid, signKid: flags.newSignKid }),
    },
    ...given({ target, detached: flags.detached, verify: flags.verify }),
  };
}

function describe(path: string, files: readonly RewrappedFile[]): string[] {
  const [first] = files;
  if (files.length !== 1 || first === undefined) {
    const copies = files.filter(({ how }) => how === 'copy').length;
    return [
      `Rewrapped ${visibleName(path)}: ${count(files.length, 'file')}, ${files.length - copies} in place, ${copies} by copy`,
    ];
  }
  const how = {
    'in-place': `Rewrapped ${visibleName(first.path)} in place`,
    copy:
      first.path === path
        ? `Rewrapped ${visibleName(path)} by a copy that took its place`
        : `Wrote ${visibleName(first.path)}, rewrapped from ${visibleName(path)}`,
    detached: `Wrote ${visibleName(first.path)}: a header for ${visibleName(path)}`,
  }[first.how];
  return [how];
}
