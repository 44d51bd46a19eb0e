import type { Engine } from '../engine/types.js';
import type { Twin } from '../twin.js';
import { createKeyRing, ringContents } from './keyring.js';
import type { KeyRing, KeysInput } from './keyring.js';
import { openKeyRing } from './load.js';
import type { SigningKey } from './types.js';

/**
 * The keys that may have signed a file: those in `input`, by default the signing keys of `keys`. Private parts and master
 * keys that come along are not kept. A signing key that `keys` lists as revoked is not trusted, whatever `input` says.
 *
 * @throws TypeError, InvalidKey, FileError, Closed
 */
export function* openTrust(input: KeysInput | undefined, keys: KeyRing, engine: Engine): Twin<KeyRing> {
  if (input === undefined) return verifyingRing(keys, []);
  const ring = yield* openKeyRing(input, engine, 'options.trust');
  try {
    return verifyingRing(
      ring,
      ringContents(keys).signingKeys.filter(({ state }) => state === 'revoked'),
    );
  } finally {
    ring.dispose();
  }
}

function verifyingRing(ring: KeyRing, revoked: readonly SigningKey[]): KeyRing {
  const { signingKeys, providers } = ringContents(ring);
  return createKeyRing({
    masterKeys: [],
    signingKeys: [...signingKeys, ...revoked].map(publicHalf),
    recipientKeys: [],
    providers,
    owned: [],
    borrowed: [],
  });
}

export function publicHalf({ kid, jku, state, publicKey }: SigningKey): SigningKey {
  return { kid, jku, state, publicKey, seed: null, remote: null };
}
