import type { Command } from 'commander';
import { exportLicenseKey, inspectLicense, issueLicense, loadKeys, verifyLicense } from '../../index.js';
import type { IssueOptions, KeyRing, LicenseInfo, LicenseInspection, VerifyLicenseOptions } from '../../index.js';
import { usageError } from '../cli-error.js';
import { forEachFile } from '../each-file.js';
import type { FileResult } from '../each-file.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { writeKeyFiles, writeWhole } from '../files.js';
import { addFlags } from '../flag-table.js';
import type { Flags } from '../flag-table.js';
import { addOutputFlags, given, parseClaims, policyTexts } from '../flags.js';
import { keyInput, keyInputs } from '../key-inputs.js';
import type { OutputFlags } from '../flags.js';
import { Output } from '../output.js';
import { newTargetOf, sourceOf, targetOf } from '../paths.js';
import { formatBytes } from '../sizes.js';
import { visible, visibleName } from '../terminal-text.js';

type KeyFlags = OutputFlags & Flags<'keys' | 'trust' | 'signKid'>;

type VerifyFlags = KeyFlags & Flags<'body' | 'now'>;

type IssueFlags = KeyFlags &
  Flags<
    | 'to' | 'toKid' | 'encKid' | 'claims' | 'policy' | 'remotePolicy' | 'expires' | 'notBefore' | 'id' | 'output' | 'force'
  >; // prettier-ignore

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
    .argument('[target]', 'licence to write')
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors license issue model.ct.safetensors acme.license -k vendor.json --to acme-public.json --expires 365d
  cryptotensors license issue model.ct.safetensors acme.license -k vendor.json --to acme-public.json --claims '{"seats":5}' --policy seats.rego
${EXIT_CODE_HELP}`,
    );
  addFlags(command, {
    output: true,
    keys:
      "JWK set with the file's master key and a private signing key; may be repeated " +
      '(default: the environment variable CRYPTOTENSOR_KEYS)',
    trust: true,
    to: true,
    toKid: true,
    encKid: true,
    signKid: 'sign with the key of this id (default: the first in --keys that can sign)',
    expires: true,
    notBefore: true,
    claims:
      'facts that you vouch for, input.license.claims to the policy: a JSON object, or @FILE to read one (default: none)',
    policy: "Rego policy that is asked at each opening (default: the file's own)",
    remotePolicy: "Rego policy for a key service (default: the file's own)",
    id: true,
    force: true,
  });
  addOutputFlags(command).action(issue);
}

async function issue(body: string, argument: string | undefined, flags: IssueFlags): Promise<void> {
  const output = new Output(flags);
  if (flags.to === undefined) throw usageError("--to is missing: the file with the customer's public key");
  const target = newTargetOf(argument, flags);
  const to = await loadKeys(keyInput(flags.to));
  try {
    warnOfPrivateKey(to, flags.to, output);
    await writeLicense(sourceOf(body), target, issueOptions(flags, to), output);
  } finally {
    to.dispose();
  }
}

/** What the customer keeps has no business with the vendor, who needs its public part only. */
function warnOfPrivateKey(to: KeyRing, path: string, output: Output): void {
  if (!to.recipientKeys.some(({ hasPrivate }) => hasPrivate)) return;
  output.warn(
    `${visibleName(path)} holds a customer's private key; only its public part is used. Ask the customer for the public key ` +
      'alone (keygen --recipient --public), and for a new one if this private key came over the network',
  );
}

async function writeLicense(body: string, target: string, options: IssueOptions, output: Output): Promise<void> {
  const license = await issueLicense(body, options);
  writeWhole(target, license);
  const found = await inspectLicense(license);
  output.result({ target, ...facts(found), body: found.body, recipient: found.recipient, bytes: found.bytes }, [
    `Wrote ${visibleName(target)}: licence ${visibleName(found.id)}, ${formatBytes(found.bytes)}`,
    ...describeTimes(found).map((line) => `  ${line}`),
    `  opens ${visibleName(body)} with the private key ${found.recipient.thumbprint}`,
  ]);
}

function issueOptions(flags: IssueFlags, to: KeyRing): IssueOptions {
  return {
    to,
    policy: policyTexts(flags),
    ...given({
      keys: keyInputs(flags.keys),
      trust: keyInputs(flags.trust),
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
    .argument('<licenses...>', 'licences')
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

async function show(paths: readonly string[], flags: OutputFlags): Promise<void> {
  await forEachFile(paths, new Output(flags), showOne);
}

async function showOne(path: string): Promise<FileResult> {
  const { verified, recipient, keys, policy, tensors, bytes, body, ...info } = await inspectLicense(path);
  const document = { path, verified, ...facts(info), body, recipient, keys, policy, tensors, bytes };
  const lines = [
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
  ];
  return { document, lines };
}

function addVerify(license: Command): void {
  const command = license
    .command('verify')
    .summary('check the signature and the times of a licence, and the body that it is for')
    .description(
      'Checks who signed a licence, whether it is valid now and, with --body, whether it is for that file. ' +
        'Needs no private key. Does not ask the policy.',
    )
    .argument('<licenses...>', 'licences');
  addFlags(addKeyFlags(command), { body: true, now: true }).addHelpText(
    'after',
    `
Examples:
  cryptotensors license verify acme.license --trust vendor-public.json
  cryptotensors license verify acme.license --trust vendor-public.json --body model.ct.safetensors
  cryptotensors license verify licenses/* --trust vendor-public.json --now 2027-01-01
${EXIT_CODE_HELP}`,
  );
  addOutputFlags(command).action(verify);
}

async function verify(paths: readonly string[], flags: VerifyFlags): Promise<void> {
  await forEachFile(paths, new Output(flags), (path) => verifyOne(path, flags));
}

async function verifyOne(path: string, flags: VerifyFlags): Promise<FileResult> {
  const { now } = flags;
  const found = await verifyLicense(path, {
    ...keyOptions(flags),
    ...given({ body: flags.body, now: now && (() => now) }),
  });
  const { signer, body, recipient, ...info } = found;
  const held = flags.body === undefined ? 'not held against any file' : `that is ${visibleName(flags.body)}`;
  const document = { path, ...facts(info), signer, body, recipient };
  const lines = [
    `${visibleName(path)}: verified, signed by ${signer === null ? '(no kid)' : visibleName(signer)}, valid ${now === undefined ? 'now' : `on ${now.toISOString()}`}`,
    ...describe(info),
    `for the body  ${body}, ${held}`,
    `for the key   ${visibleName(recipient.thumbprint)}`,
  ];
  return { document, lines };
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
    .argument('<license>', 'licence');
  addKeyFlags(addFlags(command, { output: 'key file to write (required)' })).addHelpText(
    'after',
    `
Examples:
  cryptotensors license export-key acme.license -o acme-model.json -k acme-private.json --trust vendor-public.json
${EXIT_CODE_HELP}`,
  );
  addOutputFlags(command).action(exportKey);
}

async function exportKey(path: string, flags: KeyFlags & Flags<'output'>): Promise<void> {
  const output = new Output(flags);
  const target = targetOf(undefined, flags);
  const jwks = await exportLicenseKey(path, keyOptions(flags));
  writeKeyFiles([{ path: target, mode: 0o600, text: `${JSON.stringify(jwks, null, 2)}\n` }]);
  const kid = jwks.keys[0]!.kid!;
  output.result({ path, keys: target, encKid: kid }, [
    `Wrote ${visibleName(target)}: the master key ${visibleName(kid)}, and the public key of the signer`,
    '  This is a secret: whoever has it can read the model, whatever the terms of the licence say.',
  ]);
}

function addKeyFlags(command: Command): Command {
  return addFlags(command, {
    keys:
      'JWK, JWK set or PEM with your keys and, unless --trust is given, the signers to trust; may be repeated ' +
      '(default: the environment variable CRYPTOTENSOR_KEYS)',
    trust: true,
    signKid: 'verify with the key of this id (default: the one that the licence names)',
  });
}

function keyOptions({ keys, trust, signKid }: KeyFlags): Pick<VerifyLicenseOptions, 'keys' | 'trust' | 'signKid'> {
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
