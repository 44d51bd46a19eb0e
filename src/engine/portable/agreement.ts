import { sha256 } from '@noble/hashes/sha2.js';
import { runSync } from '../../twin.js';
import { AGREEMENT_PUBLIC_BYTES, AGREEMENT_SECRET_BYTES } from '../../format/vocabulary.js';
import type { KeyAgreement, Secret } from '../types.js';
import type { AgreementCurve } from '../../format/vocabulary.js';
import { checkLength } from './arguments.js';
import { openMessage } from './primitives.js';
import type { Primitives } from './primitives.js';
import { copyOfKeys, keyMemory, PortableSecret, secretBytes } from './secret.js';

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
      if (shared === null) return null;
      // Of small order: it agrees on the same with everybody.
      if (shared.every((byte) => byte === 0)) return null;
      const digest = sha256.create().update(FIRST_ROUND).update(shared).update(info).digest();
      shared.fill(0);
      const key = copyOfKeys(digest);
      digest.fill(0);
      return new PortableSecret(key);
    },
    openMessage(secret, { iv, additional, ciphertext, tag }) {
      const key = copyOfKeys(secretBytes(secret, 'key'));
      const plain = keyMemory(ciphertext.byteLength);
      const message = { ciphertext: Uint8Array.from(ciphertext), tag: Uint8Array.from(tag), additional };
      let passed = false;
      try {
        const cipher = runSync(primitives.cipher('aes256gcm', key));
        passed = runSync(openMessage(cipher, Uint8Array.from(iv), message, plain));
        return passed ? new PortableSecret(plain) : null;
      } finally {
        key.fill(0);
        if (!passed) plain.fill(0);
      }
    },
  };
}

function privateBytes(secret: Secret): Uint8Array {
  const bytes = secretBytes(secret);
  checkLength(bytes, 'secret', AGREEMENT_SECRET_BYTES);
  return bytes;
}
