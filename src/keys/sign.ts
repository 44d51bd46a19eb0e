import { throwIfAborted } from '../abort.js';
import { isUint8Array } from 'node:util/types';
import { CryptoTensorsError, quote } from '../errors.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { DEFAULT_PROVIDER_TIMEOUT_MS } from './providers/ask.js';
import type { LookUpOptions } from './providers/ask.js';
import { withDeadline } from './providers/deadline.js';
import { keyUnavailable } from './unavailable.js';
import { signingKeyNotFound } from './not-found.js';
import type { RemoteSigner, SigningKey } from './types.js';
import { withoutPrototype } from '../options.js';

const SIGNATURE_BYTES = 64;

/**
 * Ed25519 over a message, by the seed at hand or by the provider that keeps it. What a provider returns is verified before
 * it is used: a wrong signature would make a file that nobody can open.
 *
 * @throws KeyNotFound if the key has no private part; KeyUnavailable if its provider fails, or the form is synchronous; BadSignature if the provider's signature is wrong; AbortError
 */
export function* signMessage(key: SigningKey, message: Uint8Array, options: LookUpOptions): Twin<Uint8Array> {
  const { engine } = options;
  const { seed, remote } = key;
  if (seed !== null) return engine.ed25519Sign(seed, message);
  if (remote === null) throw signingKeyNotFound({ masterKeys: [], signingKeys: [key] }, key.kid ?? undefined);
  const signature = yield* step<unknown>(
    () => {
      throw keyUnavailable(`${nameOf(key)} signs remotely: only the functions without Sync can use it`, {
        kid: key.kid,
      });
    },
    () => signRemotely(remote, key, message, options),
  );
  if (isSignature(signature) && engine.ed25519Verify(key.publicKey, message, signature)) return signature;
  throw new CryptoTensorsError(
    'BadSignature',
    `the key provider's signature does not verify with the public key of ${nameOf(key)}: it must be the ${SIGNATURE_BYTES} bytes of a pure Ed25519 signature by that key`,
    { kid: key.kid },
  );
}

async function signRemotely(
  remote: RemoteSigner,
  key: SigningKey,
  message: Uint8Array,
  { signal }: LookUpOptions,
): Promise<Uint8Array> {
  try {
    // A copy: what is signed must not change in the provider's hands.
    const copy = Uint8Array.from(message);
    return await withDeadline((stop) => remote(copy, { signal: stop }), {
      timeoutMs: withoutPrototype(key).timeoutMs ?? DEFAULT_PROVIDER_TIMEOUT_MS,
      signal,
    });
  } catch (cause) {
    throwIfAborted(signal);
    throw keyUnavailable(`${nameOf(key)}: the key provider could not sign with it`, { kid: key.kid, cause });
  }
}

function isSignature(value: unknown): value is Uint8Array {
  return isUint8Array(value) && value.byteLength === SIGNATURE_BYTES;
}

function nameOf({ kid }: SigningKey): string {
  return kid === null ? 'the signing key' : `the signing key ${quote(kid)}`;
}
