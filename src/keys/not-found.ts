import { CryptoTensorsError, inputDetail, quote, quoteInput } from '../errors.js';
import { AEAD_KEY_BYTES } from '../format/vocabulary.js';
import { keyUnavailable } from './unavailable.js';
import { describeKids } from './describe.js';
import { statesAmong } from './state.js';
import { hasPrivatePart } from './types.js';
import type { KeyQuery, KeySet, LoadedKeys, MasterKey, MasterKeyQuery, StatedKey, WritingKeyQuery } from './types.js';
import { option, say } from '../wording.js';
import type { Wording } from '../wording.js';

const MAKE_KEYS = 'Make keys with generateKeys() or `cryptotensors keygen`';

/** What the providers that were asked had to say, for the end of a message. */
export interface Inquiry {
  readonly notes: string;
  readonly cause?: unknown;
  /** Whether a provider failed, so that the key may be there; and whether asking again may help. */
  readonly failed: boolean;
  readonly retryable: boolean;
}

const NOBODY_ASKED: Inquiry = { notes: '', failed: false, retryable: false };

/** A name that was asked for is that of a revoked key. */
export function keyRevoked(kid: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'KeyRevoked',
    `the key ${quote(kid)} is revoked, and so it is used for nothing. Get the file under another key; if the revocation is a mistake, correct "state" where the key comes from`,
    { kid },
  );
}

export function masterKeyNotFound(keys: KeySet, query: MasterKeyQuery, inquiry = NOBODY_ASKED): CryptoTensorsError {
  const kid = query.override ?? query.kid;
  const namesakes = keys.masterKeys.filter((key) => kid === null || key.kid === kid);
  const needed = `a ${AEAD_KEY_BYTES[query.algorithm]}-byte key for ${query.algorithm}`;
  let problem: string;
  if (keys.masterKeys.length === 0) {
    problem = `the file needs ${kid === null ? 'a master key' : `the master key ${shown(query, kid)}`}, but there is no master key at hand`;
  } else if (kid === null) {
    problem = `the header names no master key, and none of those at hand is ${needed}: ${describeKids(namesakes)}`;
  } else if (namesakes.length > 0) {
    problem = `the file needs ${needed}, but the master key ${shown(query, kid)} at hand is ${describeFit(namesakes[0]!)}`;
  } else {
    problem = `there is no master key ${shown(query, kid)}, ${whoAsked(query)}; at hand: ${describeKids(keys.masterKeys)}`;
  }
  return notFound(
    'KeyNotFound',
    say`${problem}`.advising(say`Pass the right key in ${option('keys')} or in CRYPTOTENSOR_KEYS`),
    nameFor(query),
    inquiry,
  );
}

export function verifyingKeyNotFound(trust: KeySet, query: KeyQuery, inquiry = NOBODY_ASKED): CryptoTensorsError {
  const kid = query.override ?? query.kid;
  if (trust.signingKeys.length === 0) {
    const signer = kid === null ? '' : ` ${shown(query, kid)}`;
    const problem = `there is no key to verify the signature of signer${signer} with`;
    return notFound(
      'KeyNotFound',
      say`${problem}`.advising(say`Pass the signer's public key in ${option('trust')} or ${option('keys')}`),
      kid,
      inquiry,
    );
  }
  if (kid === null) {
    const problem = `the header names no signer, and no key at hand may verify it: ${describeKids(trust.signingKeys)}`;
    return notFound(
      'KeyNotFound',
      say`${problem}`.advising(say`Pass the signer's public key in ${option('trust')}`),
      nameFor(query),
      inquiry,
    );
  }
  const problem = `the key ${shown(query, kid)}, ${whoAsked(query)}, is not trusted; trusted: ${describeKids(trust.signingKeys)}`;
  return notFound(
    'UntrustedSigner',
    say`${problem}`.advising(say`If you do trust this signer, add its public key to ${option('trust')}`),
    nameFor(query),
    inquiry,
  );
}

export function signingKeyNotFound(keys: KeySet, kid: string | undefined, inquiry = NOBODY_ASKED): CryptoTensorsError {
  const verifiesOnly = keys.signingKeys.some((key) => (kid === undefined || key.kid === kid) && !hasPrivatePart(key));
  const name = kid === undefined ? '' : ` ${quoteInput(kid)}`;
  const retired = retiredAmong(keys.signingKeys, kid);
  const problem = verifiesOnly
    ? `the key${name} at hand can verify but not sign: its private part "d" is missing`
    : retired
      ? `the key${name} at hand is decrypt-only: it verifies, but signs nothing any more`
      : `there is no signing key${name} at hand; at hand: ${describeKids(keys.signingKeys)}`;
  return notFound(
    'KeyNotFound',
    say`${problem}`.advising(say`${MAKE_KEYS}, and pass them in ${option('keys')}`),
    inputDetail('kid', kid ?? null).kid,
    inquiry,
  );
}

export function writingMasterKeyNotFound(
  keys: KeySet,
  { kid, algorithm }: WritingKeyQuery,
  inquiry = NOBODY_ASKED,
): CryptoTensorsError {
  const name = kid === undefined ? '' : ` ${quoteInput(kid)}`;
  const purpose = algorithm === undefined ? '' : ` for ${algorithm}`;
  const problem = retiredAmong(keys.masterKeys, kid)
    ? `the master key${name} at hand is decrypt-only: it opens files, but encrypts none any more`
    : `there is no master key${name}${purpose} at hand; at hand: ${describeKids(keys.masterKeys)}`;
  return notFound(
    'KeyNotFound',
    say`${problem}`.advising(say`${MAKE_KEYS}, and pass them in ${option('keys')}`),
    inputDetail('kid', kid ?? null).kid,
    inquiry,
  );
}

export function recipientKeyNotFound(keys: LoadedKeys, thumbprint: string, inquiry = NOBODY_ASKED): CryptoTensorsError {
  const isPublic = keys.recipientKeys.some((key) => key.thumbprint === thumbprint);
  const problem = isPublic
    ? `the recipient key ${quote(thumbprint)} is at hand without its private part "d"`
    : `the licence was issued to the recipient key ${quote(thumbprint)}, and that is not at hand; at hand: ${describeKids(keys.recipientKeys.map(({ thumbprint: kid, state }) => ({ kid, state })))}. If none of your keys is that one, the licence is another customer's`;
  return notFound(
    'KeyNotFound',
    say`${problem}`.advising(
      say`Pass the private key that it was issued to in ${option('keys')} or in CRYPTOTENSOR_KEYS`,
    ),
    thumbprint,
    inquiry,
  );
}

/** Whether there is a key of that name, or any key where none was asked for, but only to decrypt or verify. */
function retiredAmong(keys: readonly StatedKey[], kid: string | undefined): boolean {
  const stateOf = statesAmong(keys);
  const namesakes = keys.filter((key) => kid === undefined || key.kid === kid);
  return namesakes.length > 0 && namesakes.every((key) => stateOf(key) === 'decrypt-only');
}

function notFound(
  code: 'KeyNotFound' | 'UntrustedSigner',
  message: Wording,
  /** Undefined: not to be told. */
  kid: string | null | undefined,
  { notes, cause, failed, retryable }: Inquiry,
): CryptoTensorsError {
  // Whoever could not be asked may have it.
  if (failed)
    return keyUnavailable(say`${message}${notes}`, { ...(kid === undefined ? {} : { kid }), cause, retryable });
  return new CryptoTensorsError(code, say`${message}${notes}`, {
    ...(kid === undefined ? {} : { kid }),
    ...(kid == null ? {} : { expected: kid }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** A key id that the header names is known to all who have the file; one from the options could be a key. */
function shown({ override }: KeyQuery, kid: string): string {
  return override === undefined ? quote(kid) : quoteInput(kid);
}

/** The same, as a detail. */
function nameFor({ override, kid }: KeyQuery): string | null | undefined {
  return override === undefined ? kid : inputDetail('kid', override).kid;
}

function whoAsked({ override }: KeyQuery): string {
  return override === undefined ? 'which the header names' : 'which the options name';
}

function describeFit({ algorithm, secret }: MasterKey): string {
  return algorithm === null ? `${secret?.byteLength ?? 0} bytes long` : `for ${algorithm}`;
}
