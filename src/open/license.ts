import { CryptoTensorsError, quote, quoteFile } from '../errors.js';
import { bodyText } from '../format/body-id.js';
import type { CryptoKeys } from '../format/crypto-metadata.js';
import type { Header } from '../format/header.js';
import { invalidLicense } from '../format/license-error.js';
import { timeText } from '../format/license.js';
import type { License, LicenseTerms } from '../format/license.js';
import type { Engine, Secret } from '../engine/types.js';
import { parseJwks } from '../keys/jwk.js';
import { openJwe } from '../keys/jwe.js';
import { disposeKeys } from '../keys/types.js';
import type { MasterKey, RecipientKey } from '../keys/types.js';
import { copyClaims } from '../policy/claims.js';
import { readClock } from '../policy/input.js';
import type { PolicyLicense } from '../policy/input.js';
import type { Twin } from '../twin.js';
import { sha256Of } from '../model/digests.js';
import type { Access } from './access.js';

/*
 * What a licence asks for, once the signature over the header that holds it has been verified: that the body is the one that it was
 * issued for, that it is valid now, and a key of the customer's.
 */

/** How far the vendor's clock may be ahead of ours: a licence is often opened seconds after it was issued, elsewhere. */
const ISSUED_LEEWAY_MS = 5 * 60_000;
const NS_PER_MS = 1_000_000n;

/** SHA-256, in hex, of what all headers of one body have in common; null for a plain file. */
export function bodyId(engine: Engine, header: Header): string | null {
  const text = bodyText(header);
  return text && sha256Of(engine, text);
}

/**
 * Holds the header of a licence against the header that the body itself has.
 *
 * The licence's own header has the tags of the body's data, so no other data would ever be taken for it: this says so before the
 * first read, and in clear words.
 *
 * @throws LicenseMismatch
 */
export function checkBody(engine: Engine, licensed: Header, body: Header, path: string | undefined): void {
  const expected = bodyId(engine, licensed);
  const found = ownBodyId(engine, body);
  if (found === expected) return;
  throw new CryptoTensorsError(
    'LicenseMismatch',
    `the licence was issued for another body: it is for ${expected}, but ${quoteFile(path)} is ${found ?? 'plain'}. Open the file that it was issued for, or ask for a licence for this one`,
    { expected: expected!, found: found ?? 'plain', ...(path === undefined ? {} : { path }) },
  );
}

/** Nobody has vouched for the body's own header: whatever is wrong with it, it is not what the licence is for. */
function ownBodyId(engine: Engine, body: Header): string | null {
  try {
    return bodyId(engine, body);
  } catch (error) {
    if (error instanceof CryptoTensorsError) return 'damaged';
    throw error;
  }
}

/**
 * @param now nanoseconds since 1970
 * @throws LicenseExpired; LicenseNotYetValid, also where the clock shows a time before the licence was issued
 */
function checkTimes({ id, issued, notBefore, expires }: LicenseTerms, now: bigint): void {
  const at = now / NS_PER_MS;
  const clock = `the clock says ${timeText(Number(at))}`;
  const kid = { kid: id };
  if (notBefore !== null && at < notBefore) {
    throw new CryptoTensorsError(
      'LicenseNotYetValid',
      `the licence ${quote(id)} is valid from ${timeText(notBefore)} on, and ${clock}`,
      { ...kid, expected: timeText(notBefore) },
    );
  }
  if (at < issued - ISSUED_LEEWAY_MS) {
    throw new CryptoTensorsError(
      'LicenseNotYetValid',
      `the licence ${quote(id)} was issued at ${timeText(issued)}, but ${clock}: set the clock right`,
      { ...kid, expected: timeText(issued) },
    );
  }
  if (expires !== null && at >= expires) {
    throw new CryptoTensorsError(
      'LicenseExpired',
      `the licence ${quote(id)} expired at ${timeText(expires)}, and ${clock}. Ask whoever issued it for a new one`,
      { ...kid, expected: timeText(expires) },
    );
  }
}

/** The same, by the caller's clock; and what the policy is to know of the licence. @throws what `checkTimes` throws */
export function enforceTerms(license: LicenseTerms, { policy }: Pick<Access, 'policy'>): PolicyLicense {
  checkTimes(license, readClock(policy.policy?.now));
  return termsForPolicy(license);
}

/** What a policy is to know of a licence. @throws InvalidLicense */
export function termsForPolicy(license: LicenseTerms): PolicyLicense {
  const { id, issued, notBefore, expires } = license;
  return {
    id,
    claims: checkClaims(license),
    issued_ns: nanoseconds(issued),
    not_before_ns: notBefore === null ? null : nanoseconds(notBefore),
    expires_ns: expires === null ? null : nanoseconds(expires),
  };
}

function checkClaims({ claims }: LicenseTerms): PolicyLicense['claims'] {
  try {
    return copyClaims(claims, 'its claims');
  } catch (cause) {
    throw invalidLicense('its claims are not what a policy can be given', cause);
  }
}

function nanoseconds(milliseconds: number): bigint {
  return BigInt(milliseconds) * NS_PER_MS;
}

/** Master keys for the opening of one file, and what is to be wiped after it. */
export interface FoundMasterKeys {
  /** To be tried in turn; at least one. */
  candidates: readonly MasterKey[];
  /** The key that opened the licence, if it was opened. */
  recipient: RecipientKey | null;
  own: Secret | null;
}

/**
 * The master keys that a file may have: the caller's, or the one out of the licence in its header by the caller's recipient key. Who has the licence's
 * master key itself, because somebody exported it, needs no other.
 *
 * @throws KeyNotFound, KeyRevoked, InvalidLicense
 */
export function* findMasterKeys(
  license: License | null,
  { enc }: CryptoKeys,
  engine: Engine,
  access: Access,
): Twin<FoundMasterKeys> {
  if (license === null || access.policy.encKid !== undefined) {
    return { candidates: yield* access.masterKeys(enc), recipient: null, own: null };
  }
  let recipient: RecipientKey;
  try {
    recipient = yield* access.recipientKey(license.key.recipient);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    try {
      return { candidates: yield* access.masterKeys(enc), recipient: null, own: null };
    } catch (other) {
      throw isNotFound(other) ? error : other;
    }
  }
  const key = yield* licensedKey(license, recipient, enc, engine);
  return { candidates: [key], recipient, own: key.secret };
}

/** The master key in a licence. The caller wipes it. @throws InvalidLicense */
export function* licensedKey(
  license: License,
  recipient: RecipientKey,
  enc: CryptoKeys['enc'],
  engine: Engine,
): Twin<MasterKey> {
  const text = yield* openJwe(license.key, recipient, engine);
  try {
    return readKey(text, enc, engine);
  } finally {
    engine.wipe(text);
  }
}

/** RFC 7517 §7: what is encrypted is a JWK; here that of one master key, the one that the header names. */
function readKey(text: Uint8Array, enc: CryptoKeys['enc'], engine: Engine): MasterKey {
  let keys: ReturnType<typeof parseJwks>;
  try {
    keys = parseJwks(text, engine, { where: "the licence's key" });
  } catch (cause) {
    throw invalidLicense('what its "key" holds is no master key', cause);
  }
  const [master] = keys.masterKeys;
  const count = keys.masterKeys.length + keys.signingKeys.length + keys.recipientKeys.length;
  const fits = master?.state === 'active' && master.kid === enc.kid && master.algorithm === enc.algorithm;
  if (count === 1 && fits) return master;
  disposeKeys(keys);
  throw invalidLicense('the master key in its "key" is not the one that its header names');
}

function isNotFound(error: unknown): boolean {
  return error instanceof CryptoTensorsError && (error.code === 'KeyNotFound' || error.code === 'KeyUnavailable');
}
