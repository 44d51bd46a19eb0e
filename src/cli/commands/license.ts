import { Option } from 'commander';
import type { Command } from 'commander';
import { exportLicenseKey, inspectLicense, issueLicense, verifyLicense } from '../../index.js';
import type { IssueOptions, LicenseInfo, LicenseInspection } from '../../index.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { refuseExisting, writeWhole } from '../files.js';
import { addOutputFlags, collect, given, parseClaims, policyTexts } from '../flags.js';
import { writeNewFiles } from '../key-files.js';
import { Output } from '../output.js';
import type { OutputFlags } from '../output.js';
import { formatBytes } from '../sizes.js';
import { visible, visibleName } from '../terminal-text.js';
import { parseDayOrTime } from '../times.js';

interface KeyFlags extends OutputFlags {
  keys?: string[];
  trust?: string[];
  signKid?: string;
}

interface IssueFlags extends KeyFlags {
  keys: string[];
  to: string;
  toKid?: string;
  encKid?: string;
  claims?: string;
  policy?: string;
  remotePolicy?: string;
  expires?: Date;
  notBefore?: Date;
  id?: string;
  force?: true;
}

interface VerifyFlags extends KeyFlags {
  body?: string;
}

interface ExportFlags extends KeyFlags {
  output: string;
}

export function addLicenseCommand(program: Command): void {
  const license = program
    .command('license')
    .summary('sell a model: small files that open one body for one customer each')
    .description(
      'A licence is a small file that opens one encrypted file, its body, for one customer, as long as its terms say. ' +
        'The body stays as it is and is the same for all customers; the key in a licence opens nothing but its body, ' +
        'and only the customer can take it out. A licence is opened with --license.',
    );
  addIssue(license);
  addShow(license);
  addVerify(license);
  addExportKey(license);
}

function addIssue(license: Command): void {
  const command = license
    .command('issue')
    .summary('issue a licence to a customer')
    .description(
      'Issues a licence for one encrypted file to one customer, whose public key you have (keygen --recipient). ' +
        "Reads the file's header and none of its data, and does not ask its policy.",
    )
    .argument('<body>', 'encrypted file, or a detached header of it')
    .argument('<target>', 'licence to write')
    .requiredOption(
      '-k, --keys <file>',
      "JWK set with the file's master key and a private signing key; may be repeated (required)",
      collect,
    )
    .option(
      '--trust <file>',
      'public keys that may have signed the file; may be repeated (default: the signing keys in --keys)',
      collect,
    )
    .requiredOption('--to <file>', "JWK or JWK set with the customer's public key (required)")
    .option('--to-kid <kid>', 'which of several keys in --to, by its id or thumbprint (default: the only one)')
    .option('--enc-kid <kid>', 'use the master key of this id (default: the one that the file names)')
    .option('--sign-kid <kid>', 'sign with the key of this id (default: the first in --keys that can sign)')
    .addOption(
      new Option('--expires <time>', 'end: a day or time in UTC, or days from now as 365d (default: none)').argParser(
        parseDayOrTime,
      ),
    )
    .addOption(
      new Option('--not-before <time>', 'beginning, as for --expires (default: valid at once)').argParser(
        parseDayOrTime,
      ),
    )
    .option(
      '--claims <json>',
      'facts that you vouch for, input.license.claims to the policy: a JSON object, or @FILE to read one (default: none)',
    )
    .option('--policy <file>', "Rego policy that is asked at each opening (default: the file's own)")
    .option('--remote-policy <file>', "Rego policy for a key service (default: the file's own)")
    .option('--id <id>', 'name of the licence (default: a random one)')
    .option('-f, --force', 'replace the target if it exists (default: refuse)')
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors license issue model.ct.safetensors acme.license -k vendor.json --to acme.json --expires 365d
  cryptotensors license issue model.ct.safetensors acme.license -k vendor.json --to acme.json --claims '{"seats":5}' --policy seats.rego
${EXIT_CODE_HELP}`,
    );
  addOutputFlags(command).action(issue);
}

async function issue(body: string, target: string, flags: IssueFlags): Promise<void> {
  const output = new Output(flags);
  if (flags.force !== true) refuseExisting(target, 'Choose another target, or replace it with --force');
  const license = await issueLicense(body, issueOptions(flags));
  writeWhole(target, license);
  const found = await inspectLicense(license);
  output.result({ target, ...facts(found), body: found.body, recipient: found.recipient, bytes: found.bytes }, [
    `Wrote ${visibleName(target)}: licence ${visibleName(found.id)}, ${formatBytes(found.bytes)}`,
    ...describeTimes(found).map((line) => `  ${line}`),
    `  opens ${visibleName(body)} with the private key ${found.recipient.thumbprint}`,
  ]);
}

function issueOptions(flags: IssueFlags): IssueOptions {
  return {
    keys: flags.keys,
    to: flags.to,
    policy: policyTexts(flags),
    ...given({
      trust: flags.trust,
      toKid: flags.toKid,
      encKid: flags.encKid,
      signKid: flags.signKid,
      expires: flags.expires,
      notBefore: flags.notBefore,
      id: flags.id,
      claims: flags.claims === undefined ? undefined : parseClaims(flags.claims),
    }),
  };
}

function addShow(license: Command): void {
  const command = license
    .command('show')
    .summary('show what a licence says, without any key, unverified')
    .description(
      'Shows what a licence says. Needs no key, and checks no signature: anybody could have written what it shows. ' +
        'There is no secret in it.',
    )
    .argument('<license>', 'licence')
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors license show acme.license
  cryptotensors license show acme.license --json | jq .claims
${EXIT_CODE_HELP}`,
    );
  addOutputFlags(command).action(show);
}

async function show(path: string, flags: OutputFlags): Promise<void> {
  const output = new Output(flags);
  const { verified, recipient, keys, policy, tensors, bytes, body, ...info } = await inspectLicense(path);
  output.result({ path, verified, ...facts(info), body, recipient, keys, policy, tensors, bytes }, [
    `${visibleName(path)}: a licence, ${formatBytes(bytes)}`,
    'UNVERIFIED: no signature was checked. Anybody could have written what follows.',
    '',
    ...describe(info),
    `for the body  ${body}`,
    `for the key   ${visibleName(recipient.thumbprint)}, ${recipient.curve}`,
    `signed by     ${describeSigner(keys)} (so it says)`,
    ...policy.local
      .trimEnd()
      .split(/\r?\n/)
      .map((line, i) => `${(i === 0 ? 'policy' : '').padEnd(13)} ${visible(line)}`.trimEnd()),
  ]);
}

function addVerify(license: Command): void {
  const command = license
    .command('verify')
    .summary('check the signature and the times of a licence, and the body that it is for')
    .description(
      'Checks who signed a licence, whether it is valid now and, with --body, whether it is for that file. ' +
        'Needs no private key. Does not ask the policy.',
    )
    .argument('<license>', 'licence');
  addKeyFlags(command)
    .option('--body <file>', 'file that it should open, or a detached header of it (default: not checked)')
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors license verify acme.license --trust vendor-public.json
  cryptotensors license verify acme.license --trust vendor-public.json --body model.ct.safetensors
${EXIT_CODE_HELP}`,
    );
  addOutputFlags(command).action(verify);
}

async function verify(path: string, flags: VerifyFlags): Promise<void> {
  const output = new Output(flags);
  const found = await verifyLicense(path, { ...keyOptions(flags), ...given({ body: flags.body }) });
  const { signer, body, recipient, ...info } = found;
  const held = flags.body === undefined ? 'not held against any file' : `that is ${visibleName(flags.body)}`;
  output.result({ path, ...facts(info), signer, body, recipient }, [
    `${visibleName(path)}: verified, signed by ${signer === null ? '(no kid)' : visibleName(signer)}, valid now`,
    ...describe(info),
    `for the body  ${body}, ${held}`,
    `for the key   ${visibleName(recipient)}`,
  ]);
}

function addExportKey(license: Command): void {
  const command = license
    .command('export-key')
    .summary('take the key out of a licence, for other programs')
    .description(
      "Takes a licence's master key out of it with the customer's private key, and writes it to a key file that only its " +
        'owner can read (mode 0600), together with the public key of the signer. Other readers of the format, such as the ' +
        'Python reference, need it for a file that header attach made of body and licence. This tool does not.',
    )
    .argument('<license>', 'licence')
    .requiredOption('-o, --output <file>', 'key file to write (required)');
  addKeyFlags(command).addHelpText(
    'after',
    `
Examples:
  cryptotensors license export-key acme.license -o acme-model.json -k acme-private.json --trust vendor-public.json
${EXIT_CODE_HELP}`,
  );
  addOutputFlags(command).action(exportKey);
}

async function exportKey(path: string, flags: ExportFlags): Promise<void> {
  const output = new Output(flags);
  const jwks = await exportLicenseKey(path, keyOptions(flags));
  writeNewFiles([{ path: flags.output, mode: 0o600, text: `${JSON.stringify(jwks, null, 2)}\n` }]);
  const kid = jwks.keys[0]!.kid!;
  output.result({ path, keys: flags.output, encKid: kid }, [
    `Wrote ${visibleName(flags.output)}: the master key ${visibleName(kid)}, and the public key of the signer`,
    '  This is a secret: whoever has it can read the model, whatever the terms of the licence say.',
  ]);
}

function addKeyFlags(command: Command): Command {
  return command
    .option(
      '-k, --keys <file>',
      'JWK or JWK set with your keys and, unless --trust is given, the signers to trust; may be repeated ' +
        '(default: the environment variable CRYPTOTENSOR_KEYS)',
      collect,
    )
    .option(
      '--trust <file>',
      'public keys that may have signed the licence; may be repeated (default: the signing keys in --keys)',
      collect,
    )
    .option('--sign-kid <kid>', 'verify with the key of this id (default: the one that the licence names)');
}

function keyOptions({ keys, trust, signKid }: KeyFlags): { keys?: string[]; trust?: string[]; signKid?: string } {
  return given({ keys, trust, signKid });
}

function facts({ id, issued, notBefore, expires, claims }: LicenseInfo): Record<string, unknown> {
  return { id, issued, notBefore, expires, claims };
}

function describe(info: LicenseInfo): string[] {
  return [
    `licence       ${visibleName(info.id)}`,
    ...describeTimes(info),
    `claims        ${visible(JSON.stringify(info.claims))}`,
  ];
}

function describeTimes({ issued, notBefore, expires }: LicenseInfo): string[] {
  return [
    `issued        ${issued.toISOString()}`,
    ...(notBefore === null ? [] : [`valid from    ${notBefore.toISOString()}`]),
    `expires       ${expires === null ? 'never' : expires.toISOString()}`,
  ];
}

function describeSigner({ sign }: LicenseInspection['keys']): string {
  return sign.kid === null ? '(no kid)' : visibleName(sign.kid);
}
