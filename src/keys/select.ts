import type { AeadAlgorithm } from '../engine/types.js';
import { keyFits } from './algorithm.js';
import { masterKeyNotFound, signingKeyNotFound, verifyingKeyNotFound, writingMasterKeyNotFound } from './not-found.js';
import { hasPrivatePart } from './types.js';
import type { KeyName, KeySet, MasterKey, SigningKey } from './types.js';

/**
 * Which key, of those at hand. Pure: `lookup.ts` asks providers too.
 *
 * A header's `kid` and `jku` do no more than select (DESIGN rule: they never add a key). A `kid` selects exactly the keys of
 * that name. A `jku` decides only between keys that share a `kid`.
 */
export interface KeyQuery extends KeyName {
  /** Kid that the caller asks for in place of the header's. */
  readonly override?: string | undefined;
}

export interface MasterKeyQuery extends KeyQuery {
  /** `enc.alg` of the header. */
  readonly algorithm: AeadAlgorithm;
}

/** What a writer says about its master key; nothing: any. */
export interface WritingKeyQuery {
  readonly kid?: string | undefined;
  readonly algorithm?: AeadAlgorithm | undefined;
}

/**
 * The master key of a file.
 *
 * @throws KeyNotFound
 */
export function findMasterKey(keys: KeySet, query: MasterKeyQuery): MasterKey {
  const key = matchMasterKey(keys, query);
  if (key === null) throw masterKeyNotFound(keys, query);
  return key;
}

export function matchMasterKey({ masterKeys }: KeySet, query: MasterKeyQuery): MasterKey | null {
  const { kid, jku } = effectiveName(query);
  return (
    named(
      masterKeys.filter((key) => keyFits(key, query.algorithm)),
      kid,
      jku,
    )[0] ?? null
  );
}

/**
 * The trusted keys that may verify a file's signature; where the header names none, all of them, to be tried in turn.
 *
 * @throws KeyNotFound if nothing is trusted, UntrustedSigner if the signer is not
 */
export function findVerifyingKeys(trust: KeySet, query: KeyQuery): readonly SigningKey[] {
  const keys = matchVerifyingKeys(trust, query);
  if (keys.length === 0) throw verifyingKeyNotFound(trust, query);
  return keys;
}

export function matchVerifyingKeys({ signingKeys }: KeySet, query: KeyQuery): readonly SigningKey[] {
  const { kid, jku } = effectiveName(query);
  return named(signingKeys, kid, jku);
}

/**
 * The key that a writer signs with: the first that can sign, of the given `kid` if there is one.
 *
 * @throws KeyNotFound
 */
export function findSigningKey(keys: KeySet, kid?: string): SigningKey {
  const key = matchSigningKey(keys, kid);
  if (key === null) throw signingKeyNotFound(keys, kid);
  return key;
}

export function matchSigningKey({ signingKeys }: KeySet, kid?: string): SigningKey | null {
  return signingKeys.find((key) => hasPrivatePart(key) && (kid === undefined || key.kid === kid)) ?? null;
}

/**
 * The key that a writer wraps DEKs with: the first that fits.
 *
 * @throws KeyNotFound
 */
export function findWritingMasterKey(keys: KeySet, query: WritingKeyQuery = {}): MasterKey {
  const key = matchWritingMasterKey(keys, query);
  if (key === null) throw writingMasterKeyNotFound(keys, query);
  return key;
}

export function matchWritingMasterKey({ masterKeys }: KeySet, { kid, algorithm }: WritingKeyQuery): MasterKey | null {
  const fits = (key: MasterKey): boolean =>
    (kid === undefined || key.kid === kid) && (algorithm === undefined || keyFits(key, algorithm));
  return masterKeys.find(fits) ?? null;
}

/** The name to look for. A header's `jku` says nothing about a key that the caller names instead. */
export function effectiveName({ kid, jku, override }: KeyQuery): KeyName {
  return override === undefined || override === kid ? { kid, jku } : { kid: override, jku: null };
}

function named<Key extends KeyName>(keys: readonly Key[], kid: string | null, jku: string | null): readonly Key[] {
  if (kid === null) return keys;
  const namesakes = keys.filter((key) => key.kid === kid);
  if (namesakes.length < 2 || jku === null) return namesakes;
  const exact = namesakes.filter((key) => key.jku === jku);
  return exact.length > 0 ? exact : namesakes;
}
