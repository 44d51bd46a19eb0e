import { isErrorOfKind, parseJsonData } from '../options.js';
import type { Command } from 'commander';
import type { OpenOptions } from '../index.js';
import { keyInputs } from './key-inputs.js';
import { usageError } from './cli-error.js';
import { addFlags, spellingOf } from './flag-table.js';
import type { FlagName, Flags } from './flag-table.js';
import { readPolicy, readText } from './files.js';

/** Flags of every command. */
export type OutputFlags = Flags<'json' | 'quiet'>;

/** Flags of the commands that open an encrypted file. */
export type OpenFlags = OutputFlags &
  Flags<
    | 'keys' | 'trust' | 'encKid' | 'signKid' | 'allowPlain' | 'header' | 'license' | 'pin' | 'claims' | 'policyEnv'
    | 'policyFuel' | 'threads'
  >; // prettier-ignore

export function addOutputFlags(command: Command): Command {
  return addFlags(command, { json: true, quiet: true });
}

export function addOpenFlags(command: Command): Command {
  return addFlags(command, {
    keys: true,
    trust: true,
    encKid: true,
    signKid: true,
    pin: true,
    header: true,
    license: true,
    claims: true,
    policyEnv: true,
    policyFuel: true,
    allowPlain: true,
    threads: true,
  });
}

/** The library's options that the flags stand for. */
export function openOptions(flags: OpenFlags): OpenOptions {
  return given({
    keys: keyInputs(flags.keys),
    trust: keyInputs(flags.trust),
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

function policyOptions({ policyEnv, policyFuel }: OpenFlags): OpenOptions['policy'] {
  if (policyEnv === undefined && policyFuel === undefined) return undefined;
  return given({ env: policyEnv, fuel: policyFuel });
}

/** Claims can be confidential: a message says where they are wrong, not what they are. */
export function parseClaims(text: string): NonNullable<OpenOptions['claims']> {
  const fromFile = text.startsWith('@');
  let claims: unknown;
  try {
    claims = parseJsonData(fromFile ? readText(text.slice(1)) : text);
  } catch (error) {
    if (!isErrorOfKind(error, 'SyntaxError')) throw error;
    throw usageError(
      `--claims: ${fromFile ? 'the file' : 'the text'} is not JSON. Give an object, such as '{"customer":"acme"}'`,
    );
  }
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw usageError('--claims must be a JSON object, such as \'{"customer":"acme"}\'');
  }
  return claims as NonNullable<OpenOptions['claims']>;
}

/** The texts in the files that `--policy` and `--remote-policy` name. */
export function policyTexts({ policy, remotePolicy }: Flags<'policy' | 'remotePolicy'>): {
  local?: string;
  remote?: string;
} {
  return given({
    local: policy === undefined ? undefined : readPolicy(policy),
    remote: remotePolicy === undefined ? undefined : readPolicy(remotePolicy),
  });
}

type Given<Options> = { [Name in keyof Options]?: Exclude<Options[Name], undefined> };

/** The options that were given; the library tells an absent option from one that is there. */
export function given<Options extends object>(options: Options): Given<Options> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<Options>;
}

/**
 * Refuses flags that another one makes meaningless: what is given and not heeded would be believed.
 *
 * @param why what they do not go with: `--recover`
 */
export function refuseFlags(flags: object, names: readonly FlagName[], why: string): void {
  const found = names.filter((name) => (flags as Record<string, unknown>)[name] !== undefined).map(spellingOf);
  if (found.length > 0) throw usageError(`${found.join(', ')} would not be heeded ${why}: leave out one or the other`);
}
