import { keyFits } from './algorithm.js';
import { keyRevoked, verifyingKeyNotFound } from './not-found.js';
import { statesAmong, stricterState } from './state.js';
import type { KeyQuery, MasterKeyQuery, StatedKey, WritingKeyQuery } from './types.js';
import { canWrap, hasPrivatePart } from './types.js';
import type { KeyName, KeySet, LoadedKeys, MasterKey, RecipientKey, SigningKey } from './types.js';

/**
 * Which key, of those at hand. Pure: `lookup.ts` asks providers too.
 *
 * A header's `kid` and `jku` do no more than select (DESIGN rule: they never add a key). A `kid` selects among the keys that have
 * one: exactly those of that name. Keys without one, as other tools make them, are tried after them: what verifies or unwraps decides,
 * as in JOSE. A `jku` decides only between keys that share a `kid`. A name that is revoked selects nothing: `KeyRevoked`.
 */

/** Keys without a kid that are tried at the most: each costs work that any header can ask for. */
export const MAX_NAMELESS_KEYS = 64;

/** The keys of the name that a header or the caller gives; where neither does, those that fit, to be tried in turn. */
export function matchMasterKeys({ masterKeys }: KeySet, query: MasterKeyQuery): readonly MasterKey[] {
  const found = usable(masterKeys, effectiveName(query), (key) => keyFits(key, query.algorithm));
  return found.slice(0, MAX_NAMELESS_KEYS);
}

/** The keys that fit and have no name, where a header gives one. What the caller names is that key and no other. */
export function matchNamelessMasterKeys({ masterKeys }: KeySet, query: MasterKeyQuery): readonly MasterKey[] {
  return nameless(masterKeys, query, (key) => keyFits(key, query.algorithm));
}

/**
 * The trusted keys that may verify a file's signature; where the header names none, all of them, to be tried in turn.
 *
 * @throws KeyNotFound if nothing is trusted, UntrustedSigner if the signer is not; KeyRevoked
 */
export function findVerifyingKeys(trust: KeySet, query: KeyQuery): readonly SigningKey[] {
  const keys = matchVerifyingKeys(trust, query);
  if (keys.length === 0) throw verifyingKeyNotFound(trust, query);
  return keys;
}

export function matchVerifyingKeys({ signingKeys }: KeySet, query: KeyQuery): readonly SigningKey[] {
  return usable(signingKeys, effectiveName(query), () => true);
}

/** The keys that have no name, where a header gives one. */
export function matchNamelessVerifyingKeys({ signingKeys }: KeySet, query: KeyQuery): readonly SigningKey[] {
  return nameless(signingKeys, query, () => true);
}

/** The key that a writer signs with: the first active one that can sign, of the given `kid` if there is one. @throws KeyRevoked */
export function matchSigningKey({ signingKeys }: KeySet, kid?: string): SigningKey | null {
  return active(signingKeys, kid, hasPrivatePart)[0] ?? null;
}

/** The key that a writer wraps DEKs under: the first active one that fits. @throws KeyRevoked */
export function matchWritingMasterKey({ masterKeys }: KeySet, { kid, algorithm }: WritingKeyQuery): MasterKey | null {
  return (
    active(masterKeys, kid, (key) => canWrap(key) && (algorithm === undefined || keyFits(key, algorithm)))[0] ?? null
  );
}

/**
 * The key that opens a licence. A key is what it is, whatever its `kid`: the thumbprint is that of the public part.
 *
 * @throws KeyRevoked
 */
export function matchRecipientKey({ recipientKeys }: LoadedKeys, thumbprint: string): RecipientKey | null {
  const stateOf = statesAmong(recipientKeys);
  const same = recipientKeys.filter((key) => key.thumbprint === thumbprint);
  const state = same.map(stateOf).reduce(stricterState, 'active');
  if (state === 'revoked') throw keyRevoked(same[0]!.kid ?? thumbprint);
  return same.find(({ secret }) => secret !== null) ?? null;
}

/** The name to look for. A header's `jku` says nothing about a key that the caller names instead. */
export function effectiveName({ kid, jku, override }: KeyQuery): KeyName {
  return override === undefined || override === kid ? { kid, jku } : { kid: override, jku: null };
}

/** The keys of a name that may decrypt or verify. @throws KeyRevoked */
function usable<Key extends StatedKey>(
  keys: readonly Key[],
  { kid, jku }: KeyName,
  fits: (key: Key) => boolean,
): readonly Key[] {
  const stateOf = statesAmong(keys);
  if (kid !== null && named(keys, kid, jku).some((key) => stateOf(key) === 'revoked')) throw keyRevoked(kid);
  return named(
    keys.filter((key) => stateOf(key) !== 'revoked' && fits(key)),
    kid,
    jku,
  );
}

function nameless<Key extends StatedKey>(
  keys: readonly Key[],
  { kid, override }: KeyQuery,
  fits: (key: Key) => boolean,
): readonly Key[] {
  if (kid === null || override !== undefined) return [];
  const stateOf = statesAmong(keys);
  // Without a name it can still be a key that is revoked under one.
  const spare = keys.filter((key) => key.kid === null && stateOf(key) !== 'revoked' && fits(key));
  return spare.slice(0, MAX_NAMELESS_KEYS);
}

/** The keys that may encrypt or sign, of a name if one is given. @throws KeyRevoked */
function active<Key extends StatedKey>(
  keys: readonly Key[],
  kid: string | undefined,
  fits: (key: Key) => boolean,
): readonly Key[] {
  const stateOf = statesAmong(keys);
  const namesakes = kid === undefined ? keys : keys.filter((key) => key.kid === kid);
  const found = namesakes.filter((key) => stateOf(key) === 'active' && fits(key));
  if (kid !== undefined && found.length === 0 && namesakes.some((key) => stateOf(key) === 'revoked')) {
    throw keyRevoked(kid);
  }
  return found;
}

function named<Key extends KeyName>(keys: readonly Key[], kid: string | null, jku: string | null): readonly Key[] {
  if (kid === null) return keys;
  const namesakes = keys.filter((key) => key.kid === kid);
  if (namesakes.length < 2 || jku === null) return namesakes;
  const exact = namesakes.filter((key) => key.jku === jku);
  return exact.length > 0 ? exact : namesakes;
}
