import { sha256 } from '@noble/hashes/sha2.js';
import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { AGREEMENT_PUBLIC_BYTES, AGREEMENT_SECRET_BYTES } from '../../format/vocabulary.js';
import type { AgreementCurve } from '../../format/vocabulary.js';
import type { KeyAgreement, SealedMessage, Secret } from '../types.js';
import { ensure } from './keys.js';
import { passWhole } from './primitives.js';
import type { Primitives } from './primitives.js';
import { copyOfKeys, PortableSecret, secretBytes, withKeys } from './secret.js';

/** The first round of the Concat KDF, the only one for 32 bytes. */
const FIRST_ROUND = Uint8Array.of(0, 0, 0, 1);

export function keyAgreement(primitives: Primitives): KeyAgreement {
  const isPublicKey = (curve: AgreementCurve, bytes: Uint8Array): boolean =>
    bytes.byteLength === AGREEMENT_PUBLIC_BYTES[curve] && primitives.isAgreementKey(curve, bytes);
  return {
    agreementPublicKey: (curve, secret) => primitives.agreementPublicKey(curve, privateBytes(secret)),
    isAgreementPublicKey: isPublicKey,
    agreeOnKey(curve, secret, peer, info) {
      const own = privateBytes(secret);
      const shared = isPublicKey(curve, peer) ? primitives.agree(curve, own, peer) : null;
      // All zeros: of small order, it agrees on the same with everybody.
      if (shared === null || shared.every((byte) => byte === 0)) return null;
      const digest = sha256.create().update(FIRST_ROUND).update(shared).update(info).digest();
      shared.fill(0);
      const key = copyOfKeys(digest);
      digest.fill(0);
      return new PortableSecret(key);
    },
    openMessage: (key, message) => runSync(opening(primitives, key, message)),
    openMessageAsync: (key, message) => runAsync(opening(primitives, key, message)),
  };
}

function opening(
  primitives: Primitives,
  secret: Secret,
  { iv, additional, ciphertext, tag }: SealedMessage,
): Twin<Secret | null> {
  return withKeys([['key', secret]], function* (key) {
    const cipher = yield* primitives.cipher('aes256gcm', key);
    const opener = cipher.opener(Uint8Array.from(iv), Uint8Array.from(tag), additional);
    // A copy: shared memory may change between verifying and decrypting.
    const plain = yield* passWhole(opener, Uint8Array.from(ciphertext));
    return plain && new PortableSecret(plain);
  });
}

function privateBytes(secret: Secret): Uint8Array {
  const bytes = secretBytes(secret);
  ensure(
    bytes.byteLength === AGREEMENT_SECRET_BYTES,
    `secret must be ${AGREEMENT_SECRET_BYTES} bytes, but is ${bytes.byteLength}`,
  );
  return bytes;
}
