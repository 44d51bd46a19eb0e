import { CryptoTensorsError, argumentError } from '../errors.js';
import { checkLicenseId, isLicenseTime } from '../format/license.js';
import type { LicenseTerms } from '../format/license.js';
import type { KeysInput } from '../keys/keyring.js';
import { checkSignal, checkString, ownOptions, readDate } from '../options.js';
import { copyClaims } from '../policy/claims.js';
import type { ClaimValue } from '../format/license.js';
import { ownPolicyTexts } from '../writer/options.js';
import type { Wording } from '../wording.js';
import { named, option, say } from '../wording.js';

/** How an issuer is opened: the vendor's side, the same for all licences. */
export interface LicenseIssuerOptions {
  /**
   * The body's master key, and the private signing key that vouches for the licences. Default: the registered providers and
   * `CRYPTOTENSOR_KEYS`.
   */
  keys?: KeysInput;
  /** Public keys that may have signed the body. Default: the signing keys in `keys`. */
  trust?: KeysInput;
  /** Open the body with the master key of this id, whatever its header names. */
  encKid?: string;
  /** Sign with the key of this id, where `keys` holds several. Default: the first that can sign. */
  signKid?: string;
  signal?: AbortSignal;
}

/** One licence. */
export interface LicenseOptions {
  /** The customer's public key: a JWK or JWK set with one X25519 or P-256 key, its file, its bytes, or a `KeyRing`. */
  to: KeysInput;
  /** Which of several keys in `to`, by its `kid` or thumbprint. */
  toKid?: string;
  /** Facts for the policy that the vendor vouches for, as plain JSON data: `input.license.claims`. Default: none. */
  claims?: Record<string, ClaimValue>;
  /** Rego texts in place of the body's own. */
  policy?: { local?: string; remote?: string };
  /** From when on the licence opens nothing any more. Default: it does not expire. */
  expires?: Date;
  /** Until when the licence opens nothing yet. Default: valid at once. */
  notBefore?: Date;
  /** Names the licence in messages, logs and policies; also the key id of its master key. Default: random. */
  id?: string;
}

/** Options of `issueLicense`. */
export interface IssueOptions extends LicenseIssuerOptions, LicenseOptions {}

const ISSUER_OPTIONS: readonly (keyof LicenseIssuerOptions)[] = ['keys', 'trust', 'encKid', 'signKid', 'signal'];
export const LICENSE_OPTIONS: readonly (keyof LicenseOptions)[] = [
  'to', 'toKid', 'claims', 'policy', 'expires', 'notBefore', 'id',
]; // prettier-ignore

/** The options of an issuer as own properties. @param more names of options that the function has beside these. @throws TypeError */
export function ownIssuerOptions<Options extends LicenseIssuerOptions = LicenseIssuerOptions>(
  options: unknown,
  where: string,
  more: readonly (keyof Options & string)[] = [],
): Options {
  const own = ownOptions<Options>(options, [...ISSUER_OPTIONS, ...more], where);
  const { encKid, signKid, signal } = own as Partial<LicenseIssuerOptions>;
  checkString(encKid, 'options.encKid');
  checkString(signKid, 'options.signKid');
  checkSignal(signal);
  return own as Options;
}

/** The options of one licence as own properties. @throws TypeError */
export function ownLicenseOptions(options: unknown, where: string): LicenseOptions {
  const own = ownOptions<LicenseOptions>(options, LICENSE_OPTIONS, where);
  const { to } = own;
  if (to === undefined) throw argumentError('options.to', "the customer's public key", undefined);
  checkString(own.toKid, 'options.toKid');
  checkString(own.id, 'options.id');
  return Object.assign(own, { to, policy: ownPolicyTexts(own.policy) });
}

/** What the options say of a licence. @throws TypeError, InvalidOption */
export function readTerms(given: LicenseOptions, freshId: () => string): LicenseTerms {
  const { claims = {} } = given;
  const terms = {
    id:
      given.id === undefined
        ? freshId()
        : checkLicenseId(given.id, (problem) => invalid(say`${option('id')}: ${problem}`)),
    issued: Date.now(),
    notBefore: readTime(given.notBefore, 'options.notBefore'),
    expires: readTime(given.expires, 'options.expires'),
    claims: copyClaims(claims, 'options.claims'),
  };
  if (terms.expires !== null && terms.expires <= Math.max(terms.issued, terms.notBefore ?? 0)) {
    throw invalid(say`${option('expires')} is not after the beginning of the licence: it would never open anything`);
  }
  return terms;
}

function readTime(time: unknown, name: string): number | null {
  if (time === undefined) return null;
  const milliseconds = readDate(time, name);
  if (isLicenseTime(milliseconds)) return milliseconds;
  throw invalid(say`${named(name)} must be a time between the years 1678 and 2261`);
}

function invalid(problem: Wording): CryptoTensorsError {
  return new CryptoTensorsError('InvalidOption', problem);
}
