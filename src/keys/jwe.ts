import type { CryptoTensorsError } from '../errors.js';
import { JWE_ENCRYPTION } from '../format/jwe.js';
import type { Jwe } from '../format/jwe.js';
import { invalidLicense } from '../format/license-error.js';
import type { Engine } from '../engine/types.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import type { RecipientKey } from './types.js';

/*
 * Opening what a licence carries: ECDH-ES in direct key agreement with A256GCM. By the engine, and not by the library that makes
 * them: the customer's private key and all that is derived from it stay in native memory, the blocking forms need it, and each
 * checks the other.
 */

const KEY_BITS = 256;

/**
 * What is in a JWE, for the caller to wipe.
 *
 * @throws InvalidLicense if it is not for this key, or was changed
 */
export function* openJwe(jwe: Jwe, key: RecipientKey, engine: Engine): Twin<Uint8Array> {
  const { curve, secret } = key;
  if (secret === null || jwe.curve !== curve || !engine.isAgreementPublicKey(curve, jwe.ephemeral)) {
    throw invalid(`"epk" is no public key of ${curve}`);
  }
  const contentKey = engine.agreeOnKey(curve, secret, jwe.ephemeral, OTHER_INFO);
  if (contentKey === null) throw invalid('"epk" is a public key of small order');
  try {
    const { iv, protectedHeader, ciphertext, tag } = jwe;
    const message = { iv, additional: protectedHeader, ciphertext, tag };
    const plain = yield* step(
      () => engine.openMessage(contentKey, message),
      () => engine.openMessageAsync(contentKey, message),
    );
    if (plain === null) throw invalid('it does not decrypt under the key that it names');
    try {
      return engine.exportSecret(plain);
    } finally {
      plain.dispose();
    }
  } finally {
    contentKey.dispose();
  }
}

/** What the Concat KDF is told beside the secret (RFC 7518 §4.6.2): the algorithm and how many bits; neither party has a name. */
const OTHER_INFO = otherInfo();

function otherInfo(): Uint8Array {
  const algorithm = new TextEncoder().encode(JWE_ENCRYPTION);
  const info = new Uint8Array(4 + algorithm.length + 3 * 4);
  const view = new DataView(info.buffer);
  view.setUint32(0, algorithm.length);
  info.set(algorithm, 4);
  view.setUint32(info.length - 4, KEY_BITS);
  return info;
}

function invalid(problem: string): CryptoTensorsError {
  return invalidLicense(`its "key" is refused: ${problem}`);
}
