import { lookUpMasterKeys } from '#dist/keys/lookup.js';
import { masterKeyNotFound, signingKeyNotFound, writingMasterKeyNotFound } from '#dist/keys/not-found.js';
import { matchMasterKeys, matchSigningKey, matchWritingMasterKey } from '#dist/keys/select.js';
import type { KeySet, MasterKey, MasterKeyQuery, SigningKey, WritingKeyQuery } from '#dist/keys/types.js';
import type { Twin } from '#dist/twin.js';

/** The key that is tried first. */
export function* lookUpMasterKey(...args: Parameters<typeof lookUpMasterKeys>): Twin<MasterKey> {
  return (yield* lookUpMasterKeys(...args))[0]!;
}

/** The key for a file among those at hand, with no provider to ask. */
export function findMasterKey(keys: KeySet, query: MasterKeyQuery): MasterKey {
  return orThrow(matchMasterKeys(keys, query)[0], () => masterKeyNotFound(keys, query));
}

/** The same for a signature. */
export function findSigningKey(keys: KeySet, kid?: string): SigningKey {
  return orThrow(matchSigningKey(keys, kid), () => signingKeyNotFound(keys, kid));
}

/** The same for writing. */
export function findWritingMasterKey(keys: KeySet, query: WritingKeyQuery = {}): MasterKey {
  return orThrow(matchWritingMasterKey(keys, query), () => writingMasterKeyNotFound(keys, query));
}

function orThrow<Key>(key: Key | null | undefined, refusal: () => Error): Key {
  if (key == null) throw refusal();
  return key;
}
