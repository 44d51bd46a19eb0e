/**
 * Keys on a PKCS#11 token, such as a hardware security module: `cryptotensors/pkcs11`. Needs the package `pkcs11js`.
 *
 * @packageDocumentation
 */
import { DISPOSE } from './disposal.js';
import { argumentError } from './errors.js';
import { checkProviderName } from './keys/providers/arguments.js';
import { findMasterKeys } from './keys/providers/pkcs11/master-key.js';
import { findSigningKeys, findVerifyingKeys } from './keys/providers/pkcs11/signing-key.js';
import { Token } from './keys/providers/pkcs11/token.js';
import type { Session } from './keys/providers/pkcs11/token.js';
import { PROVIDER_PRIORITY } from './keys/providers/types.js';
import type { KeyAnswer, KeyProvider, KeySelector } from './keys/providers/types.js';
import { checkInteger, checkString, ownOptions } from './options.js';

/** Options of `pkcs11KeyProvider`. */
export interface Pkcs11Options {
  /** Path of the token's PKCS#11 library: `/usr/lib/softhsm/libsofthsm2.so`. */
  module: string;
  /**
   * PIN of the token's user, or a function that gets it from where it is kept, asked at each log-in. Without one nobody logs in:
   * for tokens that need no PIN or have a pad of their own, and for public keys. A string that was refused is not tried again.
   */
  pin?: string | (() => string | Promise<string>);
  /** Label of the token, where there are several. */
  tokenLabel?: string;
  /** Number (CK_SLOT_ID) of the slot that the token is in, where there are several. */
  slot?: number;
  /** Name of the provider in messages and in the registry. Default: `pkcs11`. */
  name?: string;
  /** Place in the registry. Default: 50. */
  priority?: number;
  /** How long to wait for a key to be found, in milliseconds. Default: 10,000. */
  timeoutMs?: number;
}

/** A provider of the keys of one token. */
export interface Pkcs11KeyProvider extends KeyProvider, Disposable {
  /** Closes the session with the token, once the work under way has ended. Keys that came from it are of no use any more. */
  dispose(): void;
}

const OPTIONS: readonly (keyof Pkcs11Options)[] = [
  'module', 'pin', 'tokenLabel', 'slot', 'name', 'priority', 'timeoutMs',
]; // prettier-ignore

/**
 * Keys that stay on a PKCS#11 token. A file's `kid` is the label of a key, or its id as text or in hexadecimal.
 *
 * - Master keys are AES keys of 128 or 256 bits that may decrypt (CKA_DECRYPT) and, to write files, encrypt (CKA_ENCRYPT). Data
 *   keys are wrapped and unwrapped on the token (CKM_AES_GCM).
 * - Signing keys are Ed25519 keys (CKK_EC_EDWARDS, CKM_EDDSA) whose public key is on the token under the same label and id.
 * - Verifying keys are the token's public Ed25519 keys: whoever may write public objects to the token is trusted.
 *
 * Only the functions without `Sync` can use it. What the token computes it computes on another thread; finding a key and
 * logging in block the event loop for as long as the token takes, which is little.
 *
 * ```ts
 * using token = pkcs11KeyProvider({ module: '/usr/lib/softhsm/libsofthsm2.so', tokenLabel: 'models', pin: () => readPin() });
 * await encryptFile('model.safetensors', 'model.ct.safetensors', { keys: token, encKid: 'master', signKid: 'signer' });
 * ```
 *
 * Whatever goes wrong shows when a key is asked for: the library does not load, there is no such token, the PIN is wrong
 * (`KeyNotFound`, with the token's answer as its cause); `pkcs11js` is not installed.
 *
 * @throws {TypeError} for an option of the wrong type or an unknown one
 * @throws {CryptoTensorsError} `InvalidOption` for a number out of range
 */
export function pkcs11KeyProvider(options: Pkcs11Options): Pkcs11KeyProvider {
  const own = ownOptions<Pkcs11Options>(options, OPTIONS, 'pkcs11KeyProvider');
  const { module, pin, tokenLabel, slot, name = 'pkcs11', priority = PROVIDER_PRIORITY.native, timeoutMs } = own;
  if (typeof module !== 'string' || module === '') {
    throw argumentError('options.module', 'the path of a PKCS#11 library', module);
  }
  if (pin !== undefined && typeof pin !== 'function' && typeof (pin as unknown) !== 'string') {
    throw argumentError('options.pin', 'a string or a function', pin);
  }
  checkString(tokenLabel, 'options.tokenLabel');
  checkProviderName(name);
  checkInteger(slot, 'options.slot', 0, Number.MAX_SAFE_INTEGER);
  checkInteger(priority, 'options.priority', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  checkInteger(timeoutMs, 'options.timeoutMs', 1, 2 ** 31 - 1);

  const token = new Token({ module, pin, tokenLabel, slot });
  const dispose = (): void => token.dispose();
  return {
    name,
    priority,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    find: (selector, { signal }) =>
      token.use(async (session) => {
        signal.throwIfAborted();
        return Promise.resolve(findKeys(token, session, selector));
      }),
    dispose,
    [DISPOSE]: dispose,
  };
}

function findKeys(token: Token, session: Session, { role, kid }: KeySelector): KeyAnswer {
  switch (role) {
    case 'master':
      return findMasterKeys(token, session, kid);
    case 'signing':
      return findSigningKeys(token, session, kid);
    case 'verifying':
      return findVerifyingKeys(session, kid);
    case 'recipient':
      // The keys that licences are issued to are not used in tokens.
      return null;
  }
}
