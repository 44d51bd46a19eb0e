import { quote } from '../errors.js';
import type { Secret } from '../engine/types.js';
import type { Twin } from '../twin.js';
import { adoptSecret, ringContents } from './keyring.js';
import type { KeyRing } from './keyring.js';
import {
  masterKeyNotFound,
  recipientKeyNotFound,
  signingKeyNotFound,
  verifyingKeyNotFound,
  writingMasterKeyNotFound,
} from './not-found.js';
import type { Inquiry } from './not-found.js';
import { askProvider } from './providers/ask.js';
import type { LookUpOptions, ProviderFailure } from './providers/ask.js';
import type { KeyProvider, KeySelector } from './providers/types.js';
import { keyUnavailable } from './unavailable.js';
import { publicHalf } from './trust.js';
import {
  effectiveName,
  MAX_NAMELESS_KEYS,
  matchMasterKeys,
  matchNamelessMasterKeys,
  matchNamelessVerifyingKeys,
  matchRecipientKey,
  matchSigningKey,
  matchVerifyingKeys,
  matchWritingMasterKey,
} from './select.js';
import type { StatedKey } from './types.js';
import type { KeyQuery, MasterKeyQuery, WritingKeyQuery } from './types.js';
import type { KeySet, LoadedKeys, MasterKey, RecipientKey, SigningKey } from './types.js';
import { hasOwn, withoutPrototype } from '../options.js';

/*
 * Selection, with the ring's providers behind the keys that it holds. They are asked in order, and only if no key at hand
 * fits and none is revoked under the name that is looked for. A secret that a provider gave becomes the ring's, which wipes
 * it when it is disposed.
 */

/**
 * The keys that may be the master key of a file, at least one, to be tried in turn: those of its name, then those without a name.
 *
 * @throws KeyNotFound, KeyUnavailable, KeyRevoked, AbortError, Closed
 */
export function* lookUpMasterKeys(
  ring: KeyRing,
  query: MasterKeyQuery,
  options: LookUpOptions,
): Twin<readonly MasterKey[]> {
  const selector: KeySelector = { role: 'master', ...effectiveName(query), algorithm: query.algorithm };
  const spare = [...matchNamelessMasterKeys(ringContents(ring), query)];
  const { found, inquiry } = yield* search(ring, selector, options, {
    match: (keys) => matchMasterKeys(keys, query),
    secretOf,
    spare: (keys, provider) => {
      const more = matchNamelessMasterKeys(keys, query).slice(0, MAX_NAMELESS_KEYS - spare.length);
      for (const key of more) spare.push({ ...key, provider });
      return more;
    },
  });
  const candidates = [...found, ...spare];
  if (candidates.length === 0) throw masterKeyNotFound(ringContents(ring), query, inquiry);
  return candidates;
}

/**
 * The trusted keys that may verify a file's signature, to be tried in turn: those of the name in the header, then those without a
 * name; where the header names none, all of them.
 *
 * @param revokers providers that add no trust, but take it away: those of `keys` where `trust` is given. They are asked only
 * about a signer that is trusted otherwise. One that gives no answer leaves open whether it revokes the signer
 * @throws KeyNotFound if nothing is trusted, UntrustedSigner if the signer is not; KeyRevoked, AbortError, Closed;
 * KeyUnavailable if one of `revokers` gives no answer
 */
export function* lookUpVerifyingKeys(
  trust: KeyRing,
  query: KeyQuery,
  options: LookUpOptions,
  revokers: readonly KeyProvider[] = [],
): Twin<readonly SigningKey[]> {
  const contents = ringContents(trust);
  const selector: KeySelector = { role: 'verifying', ...effectiveName(query), algorithm: null };
  // Gathered, not matched answer by answer: a key that one source revokes is not to be taken from another.
  const gathered: SigningKey[] = [...contents.signingKeys];
  const match = (): readonly SigningKey[] => matchVerifyingKeys({ masterKeys: [], signingKeys: gathered }, query);
  let found = match();
  const failures: ProviderFailure[] = [];
  for (const provider of contents.providers) {
    if (found.length > 0 && selector.kid !== null) break;
    const answer = yield* askProvider(provider, selector, options);
    if (hasOwn(answer, 'reason')) {
      failures.push(answer);
      continue;
    }
    for (const key of answer.signingKeys) gathered.push({ ...publicHalf(key), provider: provider.name });
    for (const secret of answer.owned) secret.dispose();
    found = match();
  }
  const candidates = [...found, ...matchNamelessVerifyingKeys({ masterKeys: [], signingKeys: gathered }, query)];
  if (candidates.length === 0) throw verifyingKeyNotFound(contents, query, inquiryOf(failures));
  if (revokers.length === 0) return candidates;
  for (const key of yield* revocations(revokers, selector, options)) gathered.push(key);
  const left = [...match(), ...matchNamelessVerifyingKeys({ masterKeys: [], signingKeys: gathered }, query)];
  if (left.length === 0) throw verifyingKeyNotFound(contents, query);
  return left;
}

/** The signing keys that providers revoke: of the name in `selector`, and all that they list, as a key can have two names. */
function* revocations(
  providers: readonly KeyProvider[],
  selector: KeySelector,
  options: LookUpOptions,
): Twin<readonly SigningKey[]> {
  const revoked: SigningKey[] = [];
  const selectors = selector.kid === null ? [selector] : [selector, { ...selector, kid: null, jku: null }];
  for (const provider of providers) {
    for (const asked of selectors) {
      const answer = yield* askProvider(provider, asked, options);
      if (hasOwn(answer, 'reason')) {
        const { notes, cause, retryable } = inquiryOf([answer]);
        const problem = 'whether the signer is revoked cannot be told';
        throw keyUnavailable(problem + notes, { kid: selector.kid, cause, retryable });
      }
      for (const secret of answer.owned) secret.dispose();
      for (const key of answer.signingKeys) if (key.state === 'revoked') revoked.push(publicHalf(key));
    }
  }
  return revoked;
}

/**
 * The key that a writer signs with: the first that can sign, of the given `kid` if there is one.
 *
 * @throws KeyNotFound, KeyUnavailable, KeyRevoked, AbortError, Closed
 */
export function* lookUpSigningKey(ring: KeyRing, kid: string | undefined, options: LookUpOptions): Twin<SigningKey> {
  const selector: KeySelector = { role: 'signing', kid: kid ?? null, jku: null, algorithm: null };
  const { found, inquiry } = yield* search(ring, selector, options, {
    match: (keys) => listOf(matchSigningKey(keys, kid)),
    secretOf: ({ seed }) => seed,
  });
  const [key] = found;
  if (key === undefined) throw signingKeyNotFound(ringContents(ring), kid, inquiry);
  return key;
}

/**
 * The key that a writer wraps DEKs with: the first that fits.
 *
 * @throws KeyNotFound, KeyUnavailable, KeyRevoked, AbortError, Closed
 */
export function* lookUpWritingMasterKey(
  ring: KeyRing,
  query: WritingKeyQuery,
  options: LookUpOptions,
): Twin<MasterKey> {
  const { kid = null, algorithm = null } = query;
  const selector: KeySelector = { role: 'master', kid, jku: null, algorithm };
  const match = (keys: KeySet): readonly MasterKey[] => listOf(matchWritingMasterKey(keys, query));
  const { found, inquiry } = yield* search(ring, selector, options, { match, secretOf });
  const [key] = found;
  if (key === undefined) throw writingMasterKeyNotFound(ringContents(ring), query, inquiry);
  return key;
}

/**
 * The private key that opens a licence.
 *
 * @param thumbprint of its public part, as the licence says it
 * @throws KeyNotFound, KeyUnavailable, KeyRevoked, AbortError, Closed
 */
export function* lookUpRecipientKey(ring: KeyRing, thumbprint: string, options: LookUpOptions): Twin<RecipientKey> {
  const selector: KeySelector = { role: 'recipient', kid: thumbprint, jku: null, algorithm: null };
  const match = (keys: LoadedKeys): readonly RecipientKey[] => listOf(matchRecipientKey(keys, thumbprint));
  const { found, inquiry } = yield* search(ring, selector, options, { match, secretOf: ({ secret }) => secret });
  const [key] = found;
  if (key === undefined) throw recipientKeyNotFound(ringContents(ring), thumbprint, inquiry);
  return key;
}

interface Search<Key> {
  match: (keys: LoadedKeys) => readonly Key[];
  secretOf: (key: Key) => Secret | null;
  /** What of an answer is kept besides, while the search goes on. */
  spare?: (keys: LoadedKeys, provider: string) => readonly Key[];
}

/** What matches in the ring, else in the first answer of its providers in which something does. */
function* search<Key extends StatedKey>(
  ring: KeyRing,
  selector: KeySelector,
  options: LookUpOptions,
  matching: Search<Key>,
): Twin<{ found: readonly Key[]; inquiry: Inquiry }> {
  const { match, secretOf, spare } = withoutPrototype(matching);
  const contents = ringContents(ring);
  const atHand = match(contents);
  if (atHand.length > 0) return { found: atHand, inquiry: inquiryOf([]) };

  const failures: ProviderFailure[] = [];
  for (const provider of contents.providers) {
    const answer = yield* askProvider(provider, selector, options);
    if (hasOwn(answer, 'reason')) {
      failures.push(answer);
      continue;
    }
    let found: readonly Key[];
    const kept = new Set<Secret | null>();
    try {
      found = match(answer);
      for (const key of [...found, ...(spare?.(answer, provider.name) ?? [])]) kept.add(secretOf(key));
    } finally {
      for (const secret of answer.owned) {
        if (kept.has(secret)) adoptSecret(ring, secret);
        else secret.dispose();
      }
    }
    if (found.length > 0) {
      return { found: found.map((key) => ({ ...key, provider: provider.name })), inquiry: inquiryOf([]) };
    }
  }
  return { found: [], inquiry: inquiryOf(failures) };
}

function listOf<Key>(key: Key | null): readonly Key[] {
  return key === null ? [] : [key];
}

function secretOf({ secret }: MasterKey): Secret | null {
  return secret;
}

function inquiryOf(failures: readonly ProviderFailure[]): Inquiry {
  const notes = failures.map(
    ({ provider, reason }) => `. The key provider ${quote(provider.name)} gave no usable answer: ${reason}`,
  );
  return {
    notes: notes.join(''),
    cause: failures[0]?.error,
    failed: failures.length > 0,
    retryable: failures.some(({ retryable }) => retryable),
  };
}
