import { CryptoTensorsError, argumentError } from '../errors.js';
import type { KeysInput } from '../keys/keyring.js';
import { checkBoolean, ownOptions, checkString } from '../options.js';
import { resolvePath } from '../path-argument.js';
import { ownOpenOptions } from '../open/options.js';
import type { OpenOptions } from '../open/options.js';
import { WORK_OPTIONS, ownPolicyTexts, checkWorkOptions } from '../writer/options.js';
import type { WorkOptions } from '../writer/options.js';
import { option, say } from '../wording.js';

/** What a rewrapped file is protected with. */
export interface RewrapTo {
  /** The new master key and the private signing key to sign with. */
  keys: KeysInput;
  /** Id of the master key to use, where `keys` holds several. Default: the first that fits the file's algorithm. */
  encKid?: string;
  /** Id of the signing key to use, where `keys` holds several. Default: the first that can sign. */
  signKid?: string;
  /** Rego texts in place of the file's own. What is not given is kept. */
  policy?: { local?: string; remote?: string };
}

/** What became of a file. */
export interface RewrappedFile {
  /** Where the new header is. */
  path: string;
  /** Overwritten where it stood; in a copy of the whole file; or by itself. */
  how: 'in-place' | 'copy' | 'detached';
}

/** Options of `rewrapFile`. Those of opening say how the file is opened; `to` says what it becomes. */
export interface RewrapOptions extends OpenOptions, WorkOptions {
  to: RewrapTo;
  /** Write a new file and leave this one as it is. Of a sharded model: the new index, in another folder. */
  target?: string | URL;
  /** Write the new header alone to `target`, to be used with the body as it is (`header` when opening). */
  detached?: boolean;
  /** Check the tag or digest of every tensor first, so that a damaged file is not passed on. Default: false. */
  verify?: boolean;
}

const REWRAP_OPTIONS: readonly (keyof RewrapOptions)[] = ['to', 'target', 'detached', 'verify', ...WORK_OPTIONS];

/** What `rewrapFile` was given, checked: the path, the target if there is one, the options as own properties. */
export function checkRewrapOptions(
  path: unknown,
  given: unknown,
): { path: string; target: string | null; options: RewrapOptions } {
  const from = resolvePath(path, 'path');
  const own = ownOpenOptions<RewrapOptions>(given, 'rewrapFile', REWRAP_OPTIONS);
  checkWorkOptions(own);
  checkBoolean(own.detached, 'options.detached');
  checkBoolean(own.verify, 'options.verify');
  const options = Object.assign(own, { to: ownTo(own.to) });
  const target = options.target === undefined ? null : resolvePath(options.target, 'options.target');
  if (options.detached === true && target === null) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('detached')} needs ${option('target')}: where to write the header by itself`,
    );
  }
  if (options.header !== undefined && target === null) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('header')} needs ${option('target')}: a detached header is not overwritten, nor is that of the body`,
    );
  }
  return { path: from, target, options };
}

function ownTo(to: unknown): RewrapTo {
  if (typeof to !== 'object' || to === null) throw argumentError('options.to', 'an object with the new keys', to);
  const own = ownOptions<RewrapTo>(to, ['keys', 'encKid', 'signKid', 'policy'], 'options.to', 'options.to');
  const { keys, encKid, signKid } = own;
  if (keys === undefined) throw argumentError('options.to.keys', 'a path, JWKs or a key provider', keys);
  checkString(encKid, 'options.to.encKid');
  checkString(signKid, 'options.to.signKid');
  return Object.assign(own, { keys, policy: ownPolicyTexts(own.policy, 'options.to.policy') });
}
