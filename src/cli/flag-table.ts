import { Option } from 'commander';
import type { Command } from 'commander';
import type { AeadAlgorithm, DigestAlgorithm, ExplainOptions, AgreementCurve } from '../index.js';
import { parseInteger, parseSize } from './sizes.js';
import { parseDayOrTime, parseMoment } from './times.js';
import { AEAD_ALGORITHMS, AGREEMENT_CURVES, DIGEST_ALGORITHMS } from '../format/vocabulary.js';
import { withoutPrototype } from '../options.js';

/**
 * Every flag of every command, once: its spelling, what it means, and which option of the library it stands for. A flag that means
 * the same in two commands has the same name, and a name means the same in all of them.
 */

/** What each flag is parsed to. */
export interface FlagValues {
  action: NonNullable<ExplainOptions['action']>;
  algorithm: AeadAlgorithm;
  allowPlain: true;
  body: string;
  chunkSize: number;
  claims: string;
  curve: AgreementCurve;
  detached: true;
  encKid: string;
  expires: Date;
  force: true;
  format: 'reference' | 'rfc7517';
  formatVersion: '1' | '2';
  header: string;
  id: string;
  integrity: DigestAlgorithm | 'none';
  json: true;
  keys: string[];
  kid: string;
  license: string;
  newEncKid: string;
  newKeys: string[];
  newSignKid: string;
  notBefore: Date;
  now: Date;
  output: string;
  overrulePolicy: true;
  pin: string[];
  policy: string;
  policyFuel: number;
  policyEnv: string[];
  public: string;
  quiet: true;
  recipient: true;
  recover: true;
  remotePolicy: string;
  requireProtected: true;
  rounds: number;
  showValues: true;
  signKid: string;
  tensors: string[];
  askTensors: true;
  threads: number;
  to: string;
  toKid: string;
  trust: string[];
  verify: true;
}

export type FlagName = keyof FlagValues;

/** What a command gets that takes these flags. */
export type Flags<Name extends FlagName> = { [N in Name]?: FlagValues[N] };

interface Flag<Value> {
  /** As the help shows it: `-k, --keys <file>`. */
  syntax: string;
  /** What it means, with its default in brackets; a command may say it in its own words. */
  help: string;
  /** The library's option, as its messages name it; null for a flag of the command line's own. */
  option: string | null;
  choices?: readonly Value[];
  parse?: (text: string) => Value;
}

const FLAGS: { readonly [Name in FlagName]: Flag<FlagValues[Name]> } = {
  action: {
    syntax: '--action <action>',
    help: 'what the policy is asked about (default: open)',
    option: 'action',
    choices: ['open', 'read', 'rewrap'],
  },
  algorithm: {
    syntax: '--algorithm <name>',
    help: "AEAD (default: the master key's own, else aes256gcm)",
    option: 'algorithm',
    choices: AEAD_ALGORITHMS,
  },
  allowPlain: {
    syntax: '--allow-plain',
    help: 'accept a file that is neither encrypted nor signed (default: refuse it)',
    option: 'allowPlain',
  },
  askTensors: {
    syntax: '--ask-tensors',
    help: 'ask about each tensor too (default: about the file only)',
    option: 'tensors',
  },
  body: {
    syntax: '--body <file>',
    help: 'file that it should open, or a detached header of it (default: not checked)',
    option: 'body',
  },
  chunkSize: {
    syntax: '--chunk-size <size>',
    help: 'bytes that can be read by themselves, such as 64KiB (default: 2MiB; version 2 only)',
    option: 'chunkSize',
    parse: parseSize,
  },
  claims: {
    syntax: '--claims <json>',
    help: "facts for the file's policy, its input.claims: a JSON object, or @FILE to read one (default: none)",
    option: 'claims',
  },
  curve: {
    syntax: '--curve <name>',
    help: 'curve of the key of --recipient (default: X25519)',
    option: 'curve',
    choices: AGREEMENT_CURVES,
  },
  detached: {
    syntax: '--detached',
    help: 'write the new header alone to --output, for use with --header (default: a whole file)',
    option: 'detached',
  },
  encKid: {
    syntax: '--enc-kid <kid>',
    help: 'use the master key of this id (default: the one that the file names)',
    option: 'encKid',
  },
  expires: {
    syntax: '--expires <time>',
    help: 'end: a day or time in UTC, or days from now as 365d (default: none)',
    option: 'expires',
    parse: parseDayOrTime,
  },
  force: { syntax: '-f, --force', help: 'replace what is there under that name (default: refuse)', option: null },
  format: {
    syntax: '--format <name>',
    help: 'spelling of the JWKs; both are read here, the Python reference reads its own only (default: reference)',
    option: 'format',
    choices: ['reference', 'rfc7517'],
  },
  formatVersion: {
    syntax: '--format-version <n>',
    help: 'version of the file format (default: 2)',
    option: 'version',
    choices: ['1', '2'],
  },
  header: {
    syntax: '--header <file>',
    help: "detached header to use in place of the file's own, of which only the length counts (default: the file's own)",
    option: 'header',
  },
  id: { syntax: '--id <id>', help: 'name of the licence (default: a random one)', option: 'id' },
  integrity: {
    syntax: '--integrity <digest>',
    help: 'signed digests for the tensors that stay plain (default: sha256)',
    option: 'integrity',
    choices: [...DIGEST_ALGORITHMS, 'none'],
  },
  json: {
    syntax: '--json',
    help: 'print exactly one JSON document on standard output, errors included (default: text)',
    option: null,
  },
  keys: {
    syntax: '-k, --keys <file>',
    help:
      'JWK, JWK set or PEM with the master key and, unless --trust is given, the signers to trust; may be repeated ' +
      '(default: the environment variable CRYPTOTENSOR_KEYS)',
    option: 'keys',
  },
  kid: {
    syntax: '--kid <kid>',
    help: 'id of the key of --recipient (default: its RFC 7638 thumbprint)',
    option: 'kid',
  },
  license: {
    syntax: '--license <file>',
    help: 'licence that opens the file, with your private key in --keys and the vendor in --trust (default: none)',
    option: 'license',
  },
  newEncKid: {
    syntax: '--new-enc-kid <kid>',
    help: 'id of the new master key to use (default: the first in --new-keys)',
    option: 'to.encKid',
  },
  newKeys: {
    syntax: '-n, --new-keys <file>',
    help: 'JWK set with the new master key and a private signing key; may be repeated (required, except with --recover)',
    option: 'to.keys',
  },
  newSignKid: {
    syntax: '--new-sign-kid <kid>',
    help: 'id of the new signing key to use (default: the first in --new-keys that can sign)',
    option: 'to.signKid',
  },
  notBefore: {
    syntax: '--not-before <time>',
    help: 'beginning, as for --expires (default: valid at once)',
    option: 'notBefore',
    parse: parseDayOrTime,
  },
  now: {
    syntax: '--now <time>',
    help: 'time to hold it against, such as 2026-01-31T12:00:00Z (default: now)',
    option: 'now',
    parse: parseMoment,
  },
  output: { syntax: '-o, --output <file>', help: 'file to write (default: the last argument)', option: 'target' },
  overrulePolicy: {
    syntax: '--overrule-policy',
    help: "rewrap whatever the file's policy says, as whoever holds the keys can (default: ask it)",
    option: null,
  },
  pin: {
    syntax: '--pin <sha256>',
    help:
      'refuse any file but the one of this pin, as verify and inspect show it; for a sharded model repeated, one per file ' +
      '(default: any file)',
    option: 'pin',
  },
  policy: {
    syntax: '--policy <file>',
    help: 'Rego policy that is asked whenever the file is opened (default: one that always allows)',
    option: 'policy.local',
  },
  policyFuel: {
    syntax: '--policy-fuel <units>',
    help: 'units of fuel that each question to the policy may use (default: 400000000)',
    option: 'policy.fuel',
    parse: parseInteger,
  },
  policyEnv: {
    syntax: '--policy-env <name>',
    help: "environment variable that the file's policy may see; may be repeated (default: none)",
    option: 'policy.env',
  },
  public: {
    syntax: '--public <file>',
    help: 'file for the public part, to give to others (default: not written)',
    option: null,
  },
  quiet: {
    syntax: '-q, --quiet',
    help: 'print errors only: no result text, warnings or progress (default: off)',
    option: null,
  },
  recipient: {
    syntax: '--recipient',
    help: 'make a key to be given licences for instead: its public part is for the vendor (default: off)',
    option: null,
  },
  recover: {
    syntax: '--recover',
    help: 'only finish, or undo, a rewrap that was interrupted; needs no keys (default: off)',
    option: null,
  },
  remotePolicy: {
    syntax: '--remote-policy <file>',
    help: 'Rego policy for a key service; carried, not evaluated here (default: one that always allows)',
    option: 'policy.remote',
  },
  requireProtected: {
    syntax: '--require-protected',
    help: 'fail (exit code 1) if any tensor is covered by neither an authentication tag nor a signed digest (default: warn)',
    option: null,
  },
  rounds: {
    syntax: '--rounds <n>',
    help: 'loads to measure, after one that does not count (default: 7)',
    option: null,
    parse: parseInteger,
  },
  showValues: {
    syntax: '--show-values',
    help: 'show values of claims and variables, which may be confidential (default: their names)',
    option: 'showValues',
  },
  signKid: {
    syntax: '--sign-kid <kid>',
    help: 'verify with the key of this id (default: the one that the file names)',
    option: 'signKid',
  },
  tensors: {
    syntax: '--tensors <pattern>',
    help: "encrypt only the tensors of this name or glob, such as 'encoder.*.weight'; may be repeated (default: all tensors)",
    option: 'tensors',
  },
  threads: {
    syntax: '--threads <n>',
    help: 'threads to use at the most (default: all cores)',
    option: 'threads',
    parse: parseInteger,
  },
  to: {
    syntax: '--to <file>',
    help: "JWK, JWK set or PEM with the customer's public key (required)",
    option: 'to',
  },
  toKid: {
    syntax: '--to-kid <kid>',
    help: 'which of several keys in --to, by its id or thumbprint (default: the only one)',
    option: 'toKid',
  },
  trust: {
    syntax: '--trust <file>',
    help:
      'JWK, JWK set or PEM with the public keys that may have signed the file; may be repeated ' +
      '(default: the signing keys in --keys)',
    option: 'trust',
  },
  verify: { syntax: '--verify', help: 'check every tag and digest of the data first (default: off)', option: 'verify' },
};

/** Flags that may be given several times. */
const REPEATED: ReadonlySet<FlagName> = new Set<FlagName>(['keys', 'trust', 'newKeys', 'pin', 'policyEnv', 'tensors']);

/** Gives a command flags: by name, each with `true` for the table's own help or with the command's own words. */
export function addFlags(command: Command, flags: Partial<Record<FlagName, true | string>>): Command {
  for (const [name, words] of Object.entries(flags) as [FlagName, true | string][]) {
    const { syntax, help, choices, parse } = withoutPrototype(FLAGS[name] as Flag<unknown>);
    const option = new Option(syntax, words === true ? help : words);
    if (choices !== undefined) option.choices(choices as string[]);
    if (parse !== undefined) option.argParser(parse);
    if (REPEATED.has(name)) {
      option.argParser<string[]>((value, previous: readonly string[] | undefined) => [...(previous ?? []), value]);
    }
    command.addOption(option);
  }
  return command;
}

/**
 * The flag that stands for an option of the library.
 *
 * @param command whose flags count; all of them if there is none
 */
export function flagOf(option: string, command: Command | undefined): string | undefined {
  // `policy.local` of a rewrap is `to.policy.local` to the library.
  const names = [option, option.replace(/^to\.policy\./, 'policy.')];
  const found = Object.values(FLAGS)
    .filter((flag: Flag<unknown>) => flag.option !== null && names.includes(flag.option))
    .map(({ syntax }) => longName(syntax));
  return found.find((long) => command === undefined || command.options.some((has) => has.long === long));
}

function longName(syntax: string): string {
  return /--[a-z-]+/.exec(syntax)![0];
}

/** `--new-keys` */
export function spellingOf(name: FlagName): string {
  return longName(FLAGS[name].syntax);
}
