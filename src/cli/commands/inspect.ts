import type { Command } from 'commander';
import { inspectFile } from '../../index.js';
import type { Inspection } from '../../index.js';
import { usageError } from '../cli-error.js';
import { forEachFile } from '../each-file.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { addFlags } from '../flag-table.js';
import type { Flags } from '../flag-table.js';
import { addOutputFlags, given } from '../flags.js';
import type { OutputFlags } from '../flags.js';
import { Output } from '../output.js';
import { count, formatBytes, formatChunkSize } from '../sizes.js';
import { formatTable } from '../table.js';
import { visible, visibleName, visibleValue } from '../terminal-text.js';

export function addInspectCommand(program: Command): void {
  const command = program
    .command('inspect')
    .summary("show a file's header without any key, unverified")
    .description(
      'Shows what the header of a file says: its tensors, the keys that it names, its policy, its metadata. ' +
        'Needs no key, and checks no signature: anybody could have written what it shows. Characters that could ' +
        'steer a terminal are shown as \\u escapes.',
    )
    .argument('<files...>', 'encrypted or plain files, or detached headers by themselves')
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors inspect model.ct.safetensors
  cryptotensors inspect model.ct.safetensors --json | jq '.files[].tensors[] | select(.check == "none") | .name'
${EXIT_CODE_HELP}`,
    );
  addOutputFlags(addFlags(command, { header: true })).action(inspect);
}

async function inspect(paths: readonly string[], flags: OutputFlags & Flags<'header'>): Promise<void> {
  await forEachFile(paths, new Output(flags), async (path) => {
    if (path.endsWith('.index.json')) throw usageError('inspect shows files: give it shards, not the index of shards');
    const found = await inspectFile(path, given({ header: flags.header }));
    return { document: { path, ...found }, lines: describe(path, found) };
  });
}

function describe(path: string, found: Inspection): string[] {
  const protection = found.encryption === null ? 'plain' : `encrypted, format version ${found.encryption.keys.version}`;
  const kind = found.detached ? `a detached header without data; ${protection}` : protection;
  return [
    `${visibleName(path)}: ${kind}, ${formatBytes(found.fileBytes)}, ${count(found.tensors.length, 'tensor')}`,
    'UNVERIFIED: no signature was checked. Anybody could have written what follows.',
    '',
    `pin          ${found.pin} (nobody vouches for it: verify the file before you pin it)`,
    ...describeEncryption(found),
    ...describeMetadata(found),
    ...describeTensors(found),
  ];
}

function describeEncryption({ encryption }: Inspection): string[] {
  if (encryption === null) return [''];
  const { keys, policy, integrity } = encryption;
  return [
    `master key   ${key(keys.enc)}, ${keys.enc.algorithm}`,
    `signed by    ${key(keys.sign)}, ed25519 (so it says)`,
    `chunks       ${keys.version === 1 ? 'one per tensor' : formatChunkSize(keys.chunkSize)}`,
    `digests      ${integrity ?? 'none'}`,
    ...block('policy', policy.local),
    ...block('remote', policy.remote),
    '',
  ];
}

function key({ kid, jku }: { kid: string | null; jku: string | null }): string {
  const name = kid === null ? '(no kid)' : visibleName(kid);
  return jku === null ? name : `${name} at ${visibleName(jku)}`;
}

/** A text of several lines behind its label. */
function block(label: string, text: string): string[] {
  return text
    .trimEnd()
    .split(/\r?\n/)
    .map((line, i) => `${(i === 0 ? label : '').padEnd(12)} ${visible(line)}`.trimEnd());
}

/** A long value would push everything else off the screen. */
const MAX_VALUE_CHARACTERS = 200;

function describeMetadata({ metadata }: Inspection): string[] {
  const entries = Object.entries(metadata ?? {});
  if (entries.length === 0) return [];
  const lines = entries.map(([name, value]) => `${visibleName(name)} = ${shorten(value)}`);
  return [...lines.map((line, i) => `${(i === 0 ? 'metadata' : '').padEnd(12)} ${line}`), ''];
}

function shorten(value: string): string {
  if (value.length <= MAX_VALUE_CHARACTERS) return visibleValue(value);
  return `${visibleValue(value.slice(0, MAX_VALUE_CHARACTERS))}... (${value.length} characters; --json shows all)`;
}

const PROTECTION = { tag: 'encrypted', digest: 'digest', none: 'nothing' } as const;

function describeTensors({ tensors, encryption }: Inspection): string[] {
  if (tensors.length === 0) return ['no tensors'];
  return formatTable(
    [
      { title: 'TENSOR' },
      { title: 'DTYPE' },
      { title: 'SHAPE' },
      { title: 'SIZE', align: 'right' },
      ...(encryption === null ? [] : [{ title: 'PROTECTED BY' }]),
    ],
    tensors.map(({ name, dtype, shape, byteLength, check }) => [
      visibleName(name),
      dtype,
      `[${shape.join(', ')}]`,
      formatBytes(byteLength),
      PROTECTION[check],
    ]),
  );
}
