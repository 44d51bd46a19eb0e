import { CryptoTensorsError } from '../errors.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../format/vocabulary.js';
import type { KeysInput } from '../keys/keyring.js';
import {
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkSignal,
  checkString,
  ownOptions,
  withoutPrototype,
} from '../options.js';
import type { PolicyTexts } from '../format/crypto-metadata.js';
import type { TensorSelection } from './select.js';
import { AEAD_ALGORITHMS, DIGEST_ALGORITHMS } from '../format/vocabulary.js';
import { named, option, say } from '../wording.js';

/** How a file is protected. */
export interface ProtectOptions {
  /** The master key to encrypt for and the private signing key to sign with. */
  keys: KeysInput;
  /** Id of the master key to use, where `keys` holds several. Default: the first. */
  encKid?: string;
  /** Id of the signing key to use, where `keys` holds several. Default: the first that can sign. */
  signKid?: string;
  /** AEAD. Default: what the master key says, else AES-256-GCM (AES-128-GCM for a 16-byte key). */
  algorithm?: AeadAlgorithm;
  /** Format version. Default: 2. */
  version?: 1 | 2;
  /** Version 2: bytes that are encrypted, and can be read, by themselves. Default: 2 MiB. */
  chunkSize?: number;
  /** Which tensors are encrypted. Default: all. */
  tensors?: TensorSelection;
  /**
   * Rego texts that travel in the header. `local` is asked by whoever opens the file, and must compile; `remote` is carried for a
   * key service. Default: `allow = true` for both.
   */
  policy?: { local?: string; remote?: string };
  /** Digests for the tensors that stay plain, so that they too are verified on reading; false: none. Default: sha256. */
  integrity?: DigestAlgorithm | false;
}

/** Options of whole-file work. */
export interface WorkOptions {
  /** Threads to use at the most. Default: all of the pool. */
  threads?: number;
  /** Ends the work with an `AbortError`; nothing is left behind. */
  signal?: AbortSignal;
  /**
   * Flush the new file to the disk before it takes its name, so that not even a crash of the machine leaves less than the old
   * file or the new one. False leaves the flushing to the system, as `cp` does. Default: true.
   */
  durable?: boolean;
  /** Called on the event loop with bytes done and bytes in total. */
  onProgress?: (done: number, total: number) => void;
}

const PROTECT_OPTIONS: readonly (keyof ProtectOptions)[] = [
  'keys', 'encKid', 'signKid', 'algorithm', 'version', 'chunkSize', 'tensors', 'policy', 'integrity',
]; // prettier-ignore
export const WORK_OPTIONS: readonly (keyof WorkOptions)[] = ['threads', 'signal', 'durable', 'onProgress'];

/** The same options for a piece of the work, with a progress of its own. */
export function reportingTo<Options extends WorkOptions>(
  options: Options,
  onProgress: WorkOptions['onProgress'],
): Options {
  return onProgress === undefined ? options : withoutPrototype({ ...options, onProgress });
}

export function checkWorkOptions(options: WorkOptions): void {
  checkInteger(options.threads, 'options.threads', 1, 1024);
  checkSignal(options.signal);
  checkBoolean(options.durable, 'options.durable');
  checkFunction(options.onProgress, 'options.onProgress');
}

/** The options of writing as own properties, checked. @param more names of options that the function has beside these */
export function ownWriteOptions<Options extends Partial<ProtectOptions> & WorkOptions>(
  options: unknown,
  where: string,
  more: readonly (keyof Options & string)[] = [],
): Partial<Options> {
  const own = ownOptions<Options>(options, [...more, ...PROTECT_OPTIONS, ...WORK_OPTIONS], where);
  checkProtectOptions(own as Partial<ProtectOptions>);
  checkWorkOptions(own as WorkOptions);
  return own.policy === undefined ? own : Object.assign(own, { policy: ownPolicyTexts(own.policy) });
}

function checkProtectOptions(options: Partial<ProtectOptions>): void {
  checkString(options.encKid, 'options.encKid');
  checkString(options.signKid, 'options.signKid');
  checkOneOf(options.algorithm, 'options.algorithm', AEAD_ALGORITHMS);
  checkOneOf(options.version, 'options.version', [1, 2]);
  checkInteger(options.chunkSize, 'options.chunkSize', 1, Number.MAX_SAFE_INTEGER);
  if (options.version === 1 && options.chunkSize !== undefined) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('chunkSize')} belongs to version 2; a version 1 tensor is one piece`,
    );
  }
  if (options.integrity !== false) checkOneOf(options.integrity, 'options.integrity', DIGEST_ALGORITHMS);
}

/**
 * Policy texts as own properties, their types checked; what they say is checked by `checkPolicy`.
 *
 * @param name what the option is called in messages
 */
export function ownPolicyTexts(policy: unknown, name = 'options.policy'): Partial<PolicyTexts> {
  const own = ownOptions<PolicyTexts>(policy, ['local', 'remote'], name, name);
  for (const text of ['local', 'remote'] as const) {
    checkString(own[text], `${name}.${text}`);
    if (own[text]?.isWellFormed() === false) {
      throw new CryptoTensorsError('InvalidOption', say`${named(`${name}.${text}`)} holds half of a surrogate pair`);
    }
  }
  return own;
}
