import { resolve } from 'node:path';
import type { Command } from 'commander';
import { generateKeys, generateRecipientKeys, publicJwks } from '../../index.js';
import type { JwkSet } from '../../index.js';
import { usageError } from '../cli-error.js';
import { EXIT_CODE_HELP } from '../exit-codes.js';
import { writeKeyFiles } from '../files.js';
import type { KeyFile } from '../files.js';
import { addFlags } from '../flag-table.js';
import type { Flags } from '../flag-table.js';
import { addOutputFlags, given, refuseFlags } from '../flags.js';
import type { OutputFlags } from '../flags.js';
import { Output } from '../output.js';
import { targetOf } from '../paths.js';
import { visibleName } from '../terminal-text.js';

type KeygenFlags = OutputFlags &
  Flags<'output' | 'public' | 'algorithm' | 'encKid' | 'signKid' | 'format' | 'recipient' | 'curve' | 'kid'>;

export function addKeygenCommand(program: Command): void {
  const command = program
    .command('keygen')
    .summary('make a master key and a signing key')
    .description(
      'Makes a master key, which encrypts, and an Ed25519 signing key, which vouches for the file, and writes them ' +
        'as a JWK set that only its owner can read (mode 0600). Never writes over a file, nor through a symbolic ' +
        'link; writes both files or neither. Shows key ids only. To retire a key later, give its JWK in the file a ' +
        'member "state": "decrypt-only" (opens and verifies, writes nothing new) or "revoked" (used for nothing).',
    )
    .addHelpText(
      'after',
      `
Examples:
  cryptotensors keygen -o keys.json
  cryptotensors keygen -o keys.json --public public.json --enc-kid model-2025 --sign-kid acme
  cryptotensors keygen -o keys.json --format rfc7517
  cryptotensors keygen --recipient -o private.json --public for-the-vendor.json
${EXIT_CODE_HELP}`,
    );
  addFlags(command, {
    output: 'file for the secret keys (required)',
    public: true,
    algorithm: 'AEAD that the master key is for (default: aes256gcm)',
    encKid: 'id of the master key (default: a random one)',
    signKid: 'id of the signing key (default: its RFC 7638 thumbprint)',
    format: true,
    recipient: true,
    curve: true,
    kid: true,
  });
  addOutputFlags(command).action(keygen);
}

function keygen(flags: KeygenFlags): void {
  const target = targetOf(undefined, flags);
  if (flags.public !== undefined && resolve(target) === resolve(flags.public)) {
    throw usageError('--output and --public name one file: the secret keys and their public part go to two');
  }
  const output = new Output(flags);
  if (flags.recipient === true) {
    refuseFlags(flags, ['algorithm', 'encKid', 'signKid', 'format'], 'with --recipient');
    recipientKeygen(target, flags, output);
    return;
  }
  refuseFlags(flags, ['curve', 'kid'], 'without --recipient');
  const { algorithm = 'aes256gcm', format = 'reference' } = flags;
  const keys = generateKeys({ algorithm, format, ...given({ encKid: flags.encKid, signKid: flags.signKid }) });
  const [master, signing] = keys.keys;
  const files: KeyFile[] = [{ path: target, mode: 0o600, text: toText(keys) }];
  if (flags.public !== undefined) files.push({ path: flags.public, mode: 0o644, text: toText(publicJwks(keys)) });
  writeKeyFiles(files);
  const encKid = master!.kid!;
  const signKid = signing!.kid!;
  output.result({ keys: target, public: flags.public ?? null, encKid, signKid, algorithm, format }, [
    `Wrote ${visibleName(target)}: master key ${visibleName(encKid)} (${algorithm}), signing key ${visibleName(signKid)} (ed25519)`,
    '  This is the secret: whoever has it can read your files and sign files in your name. Without it, what is',
    '  encrypted is lost: keep a copy in a safe place.',
    ...(flags.public === undefined
      ? []
      : [
          `Wrote ${visibleName(flags.public)}: the public part of the signing key`,
          '  No secret: with --trust it shows others that a file comes from you. It decrypts nothing.',
        ]),
  ]);
}

function recipientKeygen(target: string, flags: KeygenFlags, output: Output): void {
  const { curve = 'X25519' } = flags;
  const keys = generateRecipientKeys({ curve, ...given({ kid: flags.kid }) });
  const kid = keys.keys[0]!.kid!;
  const files: KeyFile[] = [{ path: target, mode: 0o600, text: toText(keys) }];
  if (flags.public !== undefined) files.push({ path: flags.public, mode: 0o644, text: toText(publicJwks(keys)) });
  writeKeyFiles(files);
  output.result({ keys: target, public: flags.public ?? null, recipientKid: kid, curve }, [
    `Wrote ${visibleName(target)}: recipient key ${visibleName(kid)} (${curve})`,
    '  This is the secret: whoever has it can use the licences that you are given. Without it they are lost: keep a',
    '  copy in a safe place.',
    ...(flags.public === undefined
      ? []
      : [
          `Wrote ${visibleName(flags.public)}: its public part`,
          '  No secret: give it to the vendor, who issues licences to it.',
        ]),
  ]);
}

function toText(keys: JwkSet): string {
  return `${JSON.stringify(keys, null, 2)}\n`;
}
