import { CryptoTensorsError, quote } from '../errors.js';
import type { Header } from '../format/header.js';
import { keepPrivate } from '../engine/memory.js';
import type { Engine } from '../engine/types.js';
import type { SigningKey } from '../keys/types.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { option, say } from '../wording.js';

/** A check of a header's signature that may be under way. */
export interface Verification {
  /**
   * The trusted key that verified the signature.
   *
   * @throws BadSignature; UntrustedSigner if none of the keys has the name in the header, and those without a name did not sign
   */
  result(): Twin<SigningKey>;
}

/**
 * Begins to check a header's signature with the keys that the caller trusts: on a pool thread in the asynchronous form, so
 * that the event loop can go on parsing; the blocking form checks when it is asked for the result.
 *
 * @param named the signer that the header names
 */
export function* startVerification(
  engine: Engine,
  header: Header,
  candidates: readonly SigningKey[],
  signature: Uint8Array,
  named: string | null,
): Twin<Verification> {
  const message = keepPrivate(header.canonical());
  // In an object, because a promise that is returned from a step would be awaited.
  const started = yield* step<{ verified: Promise<SigningKey | undefined> } | null>(
    () => null,
    () => Promise.resolve({ verified: findSignerAsync(engine, candidates, message, signature) }),
  );
  return {
    *result() {
      const signer = yield* step(
        () => candidates.find(({ publicKey }) => engine.ed25519Verify(publicKey, message, signature)),
        () => started!.verified,
      );
      if (signer === undefined) throw badSignature(candidates, named);
      return signer;
    },
  };
}

async function findSignerAsync(
  engine: Engine,
  candidates: readonly SigningKey[],
  message: Uint8Array,
  signature: Uint8Array,
): Promise<SigningKey | undefined> {
  for (const candidate of candidates) {
    if (await engine.ed25519VerifyAsync(candidate.publicKey, message, signature)) return candidate;
  }
  return undefined;
}

function badSignature(candidates: readonly SigningKey[], named: string | null): CryptoTensorsError {
  const [first] = candidates;
  if (named !== null && candidates.every(({ kid }) => kid === null)) {
    return new CryptoTensorsError(
      'UntrustedSigner',
      say`the key ${quote(named)}, which the header names, is not trusted: no trusted key has that kid, and none of the ${candidates.length} without a kid verifies the signature`.advising(
        say`If you do trust this signer, add its public key to ${option('trust')}`,
      ),
      { kid: named, expected: named },
    );
  }
  const tried =
    candidates.length === 1 && first !== undefined
      ? `the trusted key ${first.kid === null ? '(which has no kid)' : quote(first.kid)}`
      : `any of the ${candidates.length} trusted keys`;
  return new CryptoTensorsError(
    'BadSignature',
    `the signature of the header does not verify with ${tried}: the header was changed after it was signed, or another key signed it. Fetch the file again from its source, or check which key signed it`,
    { kid: first?.kid ?? null },
  );
}
