import { Option } from 'commander';
import type { Command } from 'commander';
import type { OpenOptions } from '../index.js';
import { usageError } from './cli-error.js';
import { readText } from './files.js';
import type { OutputFlags } from './output.js';
import { parseInteger } from './sizes.js';

/** Flags of the commands that open an encrypted file. */
export interface OpenFlags extends OutputFlags {
  keys?: string[];
  trust?: string[];
  encKid?: string;
  signKid?: string;
  allowPlain?: true;
  header?: string;
  license?: string;
  pin?: string[];
  claims?: string;
  policyEnv?: string[];
  policyDeadline?: number;
  threads?: number;
}

/** For options that may be given several times. */
export function collect(value: string, previous: readonly string[] | undefined): string[] {
  return [...(previous ?? []), value];
}

export function addOutputFlags(command: Command): Command {
  return command
    .option('--json', 'print exactly one JSON document on standard output, errors included (default: text)')
    .option('-q, --quiet', 'print errors only: no result text, warnings or progress (default: off)');
}

export function addThreadsFlag(command: Command): Command {
  return command.addOption(
    new Option('--threads <n>', 'threads to use at the most (default: all cores)').argParser(parseInteger),
  );
}

export const HEADER_HELP =
  "detached header to use in place of the file's own, of which only the length counts (default: the file's own)";

export function addOpenFlags(command: Command): Command {
  command
    .option(
      '-k, --keys <file>',
      'JWK or JWK set with the master key and, unless --trust is given, the signers to trust; may be repeated ' +
        '(default: the environment variable CRYPTOTENSOR_KEYS)',
      collect,
    )
    .option(
      '--trust <file>',
      'JWK or JWK set with the public keys that may have signed the file; may be repeated (default: the signing keys in --keys)',
      collect,
    )
    .option('--enc-kid <kid>', 'use the master key of this id (default: the one that the file names)')
    .option('--sign-kid <kid>', 'verify with the key of this id (default: the one that the file names)')
    .option(
      '--pin <sha256>',
      'refuse any file but the one of this pin, as verify and inspect show it; for a sharded model repeated, one per file ' +
        '(default: any file)',
      collect,
    )
    .option('--header <file>', HEADER_HELP)
    .option(
      '--license <file>',
      'licence that opens the file, with your private key in --keys and the vendor in --trust (default: none)',
    )
    .option(
      '--claims <json>',
      "facts for the file's policy, its input.claims: a JSON object, or @FILE to read one (default: none)",
    )
    .option(
      '--policy-env <name>',
      "environment variable that the file's policy may see; may be repeated (default: none)",
      collect,
    )
    .addOption(
      new Option('--policy-deadline <ms>', "time that the file's policy may take (default: 250)").argParser(
        parseInteger,
      ),
    )
    .option('--allow-plain', 'accept a file that is neither encrypted nor signed (default: refuse it)');
  return addThreadsFlag(command);
}

/** The library's options that the flags stand for. */
export function openOptions(flags: OpenFlags): OpenOptions {
  return given({
    keys: flags.keys,
    trust: flags.trust,
    encKid: flags.encKid,
    signKid: flags.signKid,
    allowPlain: flags.allowPlain,
    header: flags.header,
    license: flags.license,
    pin: flags.pin,
    claims: flags.claims === undefined ? undefined : parseClaims(flags.claims),
    policy: policyOptions(flags),
    threads: flags.threads,
  });
}

function policyOptions({ policyEnv, policyDeadline }: OpenFlags): OpenOptions['policy'] {
  if (policyEnv === undefined && policyDeadline === undefined) return undefined;
  return given({ env: policyEnv, deadlineMs: policyDeadline });
}

/** Claims can be confidential: a message says where they are wrong, not what they are. */
export function parseClaims(text: string): NonNullable<OpenOptions['claims']> {
  const fromFile = text.startsWith('@');
  let claims: unknown;
  try {
    claims = JSON.parse(fromFile ? readText(text.slice(1)) : text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw usageError(
      `--claims: ${fromFile ? 'the file' : 'the text'} is not JSON. Give an object, such as '{"customer":"acme"}'`,
    );
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw usageError('--claims must be a JSON object, such as \'{"customer":"acme"}\'');
  }
  return claims as NonNullable<OpenOptions['claims']>;
}

/** The policy that a file or licence is to carry. */
export interface PolicyTextFlags {
  policy?: string;
  remotePolicy?: string;
}

/** The texts in the files that `--policy` and `--remote-policy` name. */
export function policyTexts({ policy, remotePolicy }: PolicyTextFlags): { local?: string; remote?: string } {
  return given({
    local: policy === undefined ? undefined : readText(policy),
    remote: remotePolicy === undefined ? undefined : readText(remotePolicy),
  });
}

type Given<Options> = { [Name in keyof Options]?: Exclude<Options[Name], undefined> };

/** The options that were given; the library tells an absent option from one that is there. */
export function given<Options extends object>(options: Options): Given<Options> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<Options>;
}
