import { getEngine } from './engine/load.js';
import * as generate from './keys/generate.js';
import type { GenerateKeysOptions } from './keys/generate.js';
import * as recipient from './keys/generate-recipient.js';
import type { GenerateRecipientKeysOptions } from './keys/generate-recipient.js';
import type { KeyRing, KeysInput } from './keys/keyring.js';
import * as load from './keys/load.js';
import type { Jwk, JwkSet } from './keys/types.js';

/**
 * A fresh master key and a fresh Ed25519 signing key, as a JWK set to be stored. The result **is** the secret: write it to a
 * file that only its owner can read, or use `cryptotensors keygen`, which does.
 *
 * @throws {TypeError} for an option of the wrong type or an unknown one
 * @throws {CryptoTensorsError} `InvalidOption`
 */
export function generateKeys(options: GenerateKeysOptions = {}): JwkSet {
  return generate.generateKeys(options, getEngine());
}

/**
 * A fresh X25519 (or P-256) key to be given licences for, as a JWK set to be stored. The result **is** the secret; its public part,
 * `publicJwks(keys)`, is what the vendor needs.
 *
 * @throws {TypeError} for an option of the wrong type or an unknown one
 * @throws {CryptoTensorsError} `InvalidOption`
 */
export function generateRecipientKeys(options: GenerateRecipientKeysOptions = {}): JwkSet {
  return recipient.generateRecipientKeys(options, getEngine());
}

/**
 * What others need of a JWK set, and nothing else: the public halves of its signing keys, to verify with, and of its recipient keys,
 * to issue licences to.
 *
 * @throws {CryptoTensorsError} `InvalidKey`
 */
export function publicJwks(jwks: Jwk | JwkSet): JwkSet {
  return generate.publicJwks(jwks, getEngine());
}

/**
 * Loads keys once, to be used for any number of files. Dispose the ring to wipe them.
 *
 * ```ts
 * using keys = await loadKeys('keys.json');
 * await using model = await safeOpen('model.safetensors', { keys });
 * ```
 *
 * @throws {CryptoTensorsError} `InvalidKey`, `FileError`
 */
export function loadKeys(input: KeysInput): Promise<KeyRing> {
  return load.loadKeyRing(input, getEngine());
}

/** `loadKeys`, blocking the calling thread. */
export function loadKeysSync(input: KeysInput): KeyRing {
  return load.loadKeyRingSync(input, getEngine());
}
