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
import type { KeySelector } from './providers/types.js';
import { publicHalf } from './trust.js';
import {
  effectiveName,
  matchMasterKey,
  matchRecipientKey,
  matchSigningKey,
  matchVerifyingKeys,
  matchWritingMasterKey,
} from './select.js';
import type { StatedKey } from './state.js';
import type { KeyQuery, MasterKeyQuery, WritingKeyQuery } from './select.js';
import type { KeySet, LoadedKeys, MasterKey, RecipientKey, SigningKey } from './types.js';

/*
 * Selection, with the ring's providers behind the keys that it holds. They are asked in order, and only if no key at hand
 * fits and none is revoked under the name that is looked for. A secret that a provider gave becomes the ring's, which wipes
 * it when it is disposed.
 */

/**
 * The master key of a file.
 *
 * @throws KeyNotFound, KeyRevoked, AbortError, Closed
 */
export function* lookUpMasterKey(ring: KeyRing, query: MasterKeyQuery, options: LookUpOptions): Twin<MasterKey> {
  const selector: KeySelector = { role: 'master', ...effectiveName(query), algorithm: query.algorithm };
  const { found, inquiry } = yield* search(ring, selector, options, (keys) => matchMasterKey(keys, query), secretOf);
  if (found === null) throw masterKeyNotFound(ringContents(ring), query, inquiry);
  return found;
}

/**
 * The trusted keys that may verify a file's signature; where the header names none, all of them, to be tried in turn.
 *
 * @throws KeyNotFound if nothing is trusted, UntrustedSigner if the signer is not; KeyRevoked, AbortError, Closed
 */
export function* lookUpVerifyingKeys(
  trust: KeyRing,
  query: KeyQuery,
  options: LookUpOptions,
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
    if ('reason' in answer) {
      failures.push(answer);
      continue;
    }
    for (const key of answer.signingKeys) gathered.push({ ...publicHalf(key), provider: provider.name });
    for (const secret of answer.owned) secret.dispose();
    found = match();
  }
  if (found.length === 0) throw verifyingKeyNotFound(contents, query, inquiryOf(failures));
  return found;
}

/**
 * The key that a writer signs with: the first that can sign, of the given `kid` if there is one.
 *
 * @throws KeyNotFound, KeyRevoked, AbortError, Closed
 */
export function* lookUpSigningKey(ring: KeyRing, kid: string | undefined, options: LookUpOptions): Twin<SigningKey> {
  const selector: KeySelector = { role: 'signing', kid: kid ?? null, jku: null, algorithm: null };
  const match = (keys: KeySet): SigningKey | null => matchSigningKey(keys, kid);
  const { found, inquiry } = yield* search(ring, selector, options, match, ({ seed }) => seed);
  if (found === null) throw signingKeyNotFound(ringContents(ring), kid, inquiry);
  return found;
}

/**
 * The key that a writer wraps DEKs with: the first that fits.
 *
 * @throws KeyNotFound, KeyRevoked, AbortError, Closed
 */
export function* lookUpWritingMasterKey(
  ring: KeyRing,
  query: WritingKeyQuery,
  options: LookUpOptions,
): Twin<MasterKey> {
  const { kid = null, algorithm = null } = query;
  const selector: KeySelector = { role: 'master', kid, jku: null, algorithm };
  const match = (keys: KeySet): MasterKey | null => matchWritingMasterKey(keys, query);
  const { found, inquiry } = yield* search(ring, selector, options, match, secretOf);
  if (found === null) throw writingMasterKeyNotFound(ringContents(ring), query, inquiry);
  return found;
}

/**
 * The private key that opens a licence.
 *
 * @param thumbprint of its public part, as the licence says it
 * @throws KeyNotFound, KeyRevoked, AbortError, Closed
 */
export function* lookUpRecipientKey(ring: KeyRing, thumbprint: string, options: LookUpOptions): Twin<RecipientKey> {
  const selector: KeySelector = { role: 'recipient', kid: thumbprint, jku: null, algorithm: null };
  const match = (keys: LoadedKeys): RecipientKey | null => matchRecipientKey(keys, thumbprint);
  const { found, inquiry } = yield* search(ring, selector, options, match, ({ secret }) => secret);
  if (found === null) throw recipientKeyNotFound(ringContents(ring), thumbprint, inquiry);
  return found;
}

/** The first match in the ring, else in the answers of its providers. */
function* search<Key extends StatedKey>(
  ring: KeyRing,
  selector: KeySelector,
  options: LookUpOptions,
  match: (keys: LoadedKeys) => Key | null,
  secretOfKey: (key: Key) => Secret | null,
): Twin<{ found: Key | null; inquiry: Inquiry }> {
  const contents = ringContents(ring);
  const atHand = match(contents);
  if (atHand !== null) return { found: atHand, inquiry: inquiryOf([]) };

  const failures: ProviderFailure[] = [];
  for (const provider of contents.providers) {
    const answer = yield* askProvider(provider, selector, options);
    if ('reason' in answer) {
      failures.push(answer);
      continue;
    }
    let found: Key | null = null;
    try {
      found = match(answer);
    } finally {
      const kept = found === null ? null : secretOfKey(found);
      for (const secret of answer.owned) {
        if (secret === kept) adoptSecret(ring, secret);
        else secret.dispose();
      }
    }
    if (found !== null) return { found: { ...found, provider: provider.name }, inquiry: inquiryOf([]) };
  }
  return { found: null, inquiry: inquiryOf(failures) };
}

function secretOf({ secret }: MasterKey): Secret | null {
  return secret;
}

function inquiryOf(failures: readonly ProviderFailure[]): Inquiry {
  const notes = failures.map(
    ({ provider, reason }) => `. The key provider ${quote(provider.name)} gave no usable answer: ${reason}`,
  );
  return { notes: notes.join(''), cause: failures[0]?.error };
}
