import type { ClaimValue, PlainPolicyInput } from '../policy/input.js';
import type { KeysInput } from '../keys/keyring.js';
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  ownOptions,
  checkSignal,
  checkString,
  isPlainObject,
} from '../options.js';
import { CryptoTensorsError, argumentError } from '../errors.js';
import type { AuditListener } from '../model/audit.js';
import { resolveInput } from '../model/input.js';
import type { BytesInput } from '../model/input.js';
import { parsePins } from '../model/pin.js';
import { option, say } from '../wording.js';

/** Options of everything that opens a file. */
export interface OpenOptions {
  /** Master keys and, unless `trust` is given, the signers to trust. Default: the registered providers and `CRYPTOTENSOR_KEYS`. */
  keys?: KeysInput;
  /** Public keys that may have signed. Default: the signing keys in `keys`. */
  trust?: KeysInput;
  /** Use the master key of this id, whatever the header names. */
  encKid?: string;
  /** Verify with the key of this id, whatever the header names. */
  signKid?: string;
  /** Open a plain (unencrypted, unsigned) file although keys or trust are configured. */
  allowPlain?: boolean;
  /**
   * A detached header, which stands in for the file's own: the path of a file that holds nothing else, or its bytes. The file
   * then gives its data only. Of its own header the length counts, the rest is not read; who signed what is said and
   * checked in the detached one. For a single file, not for a sharded model.
   */
  header?: string | URL | BytesInput;
  /**
   * A licence, in place of the file's own header: the path of its file, or its bytes. It must have been issued for this body, by a
   * signer in `trust`, to a recipient key in `keys`. For a single file, not for a sharded model.
   */
  license?: string | URL | BytesInput;
  /**
   * What the file must be: the SHA-256 of its canonical header, as `SafeFile.pins()` and `inspectFile` tell it, with or without
   * `sha256:` before it. Any other file is refused, however well it is signed: an older version too. Of a sharded model the pins
   * of all its files. The pin of a plain file says nothing about the bytes of its tensors.
   */
  pin?: string | readonly string[];
  /** Of a folder that holds several models, which: the name of its file or index. */
  weights?: string;
  /** Facts for the file's policy, as plain JSON data: `input.claims`. */
  claims?: Record<string, ClaimValue>;
  /** How the file's policy is evaluated. */
  policy?: PolicyOptions;
  /**
   * Gets what happens to the model while it is opened and used: opened, keys used, tensors read, refusals. What it throws refuses
   * the work: audit or nothing.
   */
  onEvent?: AuditListener;
  /** Threads to use at the most for each read. Default: all of the pool. */
  threads?: number;
  /** Ends the opening with an `AbortError`, and whatever else the call does; the reads of what `safeOpen` returns have their own. */
  signal?: AbortSignal;
}

/** How a file's policy is evaluated. */
export interface PolicyOptions {
  /** Names of environment variables that the policy may see as `input.env`. Default: none. */
  env?: readonly string[];
  /** The time that the policy is told. Default: the system's clock. */
  now?: () => Date | bigint;
  /**
   * What each question to the policy may use, in units of fuel: about a thirtieth of a nanosecond's work each, the same number for
   * the same policy and input on every machine. Default: 400,000,000.
   */
  fuel?: number;
  /**
   * Asks another engine (a real OPA, a key service) instead of the built-in one. The file opens on exactly `true`; the `Sync`
   * forms need an answer that is no promise.
   */
  evaluate?: (policy: string, input: PlainPolicyInput) => boolean | Promise<boolean>;
}

export const MAX_THREADS = 1024;
/** Some minutes' work, which is more than anybody can mean. */
const MAX_FUEL = 10_000_000_000_000;

export const OPEN_OPTIONS: readonly (keyof OpenOptions)[] = [
  'keys', 'trust', 'encKid', 'signKid', 'allowPlain', 'header', 'license', 'pin', 'weights', 'claims', 'policy', 'onEvent',
  'threads', 'signal',
]; // prettier-ignore

export const POLICY_OPTIONS: readonly (keyof PolicyOptions)[] = ['env', 'now', 'fuel', 'evaluate'];

/**
 * Open options as own properties, their names and types checked; what is in `keys` and in `claims` is checked where it is used.
 *
 * @param more names of options that the function has beside those of opening
 */
export function ownOpenOptions<Options extends OpenOptions = OpenOptions>(
  options: unknown,
  where: string,
  more: readonly (keyof Options & string)[] = [],
): Options {
  const own = ownOptions<Options>(options, [...OPEN_OPTIONS, ...more], where);
  const { encKid, signKid, allowPlain, header, license, pin, weights, claims, policy, onEvent, threads, signal } =
    own as OpenOptions;
  checkString(encKid, 'options.encKid');
  checkString(signKid, 'options.signKid');
  checkString(weights, 'options.weights');
  checkBoolean(allowPlain, 'options.allowPlain');
  if (header !== undefined) resolveInput(header, 'options.header');
  if (license !== undefined) {
    resolveInput(license, 'options.license');
    if (header !== undefined) {
      throw new CryptoTensorsError(
        'InvalidOption',
        say`${option('license')} is a header by itself: it goes without ${option('header')}`,
      );
    }
  }
  parsePins(pin);
  if (claims !== undefined && !isPlainObject(claims)) {
    throw argumentError('options.claims', 'an object of plain JSON data', claims);
  }
  checkFunction(onEvent, 'options.onEvent');
  checkInteger(threads, 'options.threads', 1, MAX_THREADS);
  checkSignal(signal);
  return (policy === undefined ? own : Object.assign(own, { policy: ownPolicyOptions(policy) })) as Options;
}

function ownPolicyOptions(policy: unknown): PolicyOptions {
  const own = ownOptions<PolicyOptions>(policy, POLICY_OPTIONS, 'options.policy', 'options.policy');
  checkFunction(own.now, 'options.policy.now');
  checkFunction(own.evaluate, 'options.policy.evaluate');
  checkInteger(own.fuel, 'options.policy.fuel', 1, MAX_FUEL);
  return own;
}
