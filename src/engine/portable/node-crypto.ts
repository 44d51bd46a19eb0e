import {
  createCipheriv,
  createDecipheriv,
  createHash,
  diffieHellman,
  getCiphers,
  randomFillSync,
  sign,
  verify,
} from 'node:crypto';
import type { CipherGCM, DecipherGCM } from 'node:crypto';
import { versions } from 'node:process';
import { promisify } from 'node:util';
import { blake3 } from '@noble/hashes/blake3.js';
import { step } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { TAG_BYTES } from '../../format/vocabulary.js';
import type { AeadAlgorithm } from '../../format/vocabulary.js';
import { privateKey, publicBytes, publicKey } from './node-keys.js';
import type { Cipher, Primitives } from './primitives.js';
import { chachaInJavaScript } from './whole-messages.js';

const CIPHERS = { aes128gcm: 'aes-128-gcm', aes256gcm: 'aes-256-gcm', chacha20poly1305: 'chacha20-poly1305' } as const;
/** Shorter tags than the format's are refused rather than compared as far as they go. */
const OPTIONS = { authTagLength: TAG_BYTES };
/** Bun has not. */
const HAS_CHACHA = getCiphers().includes(CIPHERS.chacha20poly1305);
const NOTHING = new Uint8Array(0);

const openssl = (versions as Partial<typeof versions>).openssl;
const verifyInThreadPool = promisify(verify);

/** On node:crypto, which blocks. It knows no BLAKE3. */
export const nodeCrypto: Primitives = {
  aead: {
    aes128gcm: 'node:crypto',
    aes256gcm: 'node:crypto',
    chacha20poly1305: HAS_CHACHA ? 'node:crypto' : '@noble/ciphers',
  },
  openssl: openssl === undefined ? null : `OpenSSL ${openssl}`,
  randomFill: (bytes) => randomFillSync(bytes),
  // eslint-disable-next-line require-yield -- Nothing here waits.
  *cipher(algorithm, key) {
    if (algorithm === 'chacha20poly1305' && !HAS_CHACHA) return chachaInJavaScript(key);
    return new NodeCipher(algorithm, key);
  },
  hasher: (algorithm) => (algorithm === 'sha256' ? createHash('sha256') : blake3.create()),
  ed25519PublicKey: (seed) => publicBytes('Ed25519', seed)!,
  ed25519Sign: (seed, message) => Uint8Array.from(sign(null, message, privateKey('Ed25519', seed)!)),
  *ed25519Verify(signer, message, signature) {
    const key = publicKey('Ed25519', signer);
    if (key === null) return false;
    return yield* step(
      () => verify(null, message, key, signature),
      () => verifyInThreadPool(null, message, key, signature),
    );
  },
  agreementPublicKey: publicBytes,
  isAgreementKey: (curve, bytes) => publicKey(curve, bytes) !== null,
  agree(curve, secret, peer) {
    const [own, other] = [privateKey(curve, secret), publicKey(curve, peer)];
    if (own === null || other === null) return null;
    try {
      return diffieHellman({ privateKey: own, publicKey: other });
    } catch {
      return null;
    }
  },
};

class NodeCipher implements Cipher {
  /** The types of node:crypto know each cipher by itself only; GCM's fit all three. */
  readonly #name: 'aes-256-gcm';
  readonly #key: Uint8Array;

  constructor(algorithm: AeadAlgorithm, key: Uint8Array) {
    this.#name = CIPHERS[algorithm] as 'aes-256-gcm';
    this.#key = key;
  }

  sealer(iv: Uint8Array) {
    const cipher = createCipheriv(this.#name, this.#key, iv, OPTIONS);
    return { update: (plaintext: Uint8Array) => cipher.update(plaintext), finish: () => finishSealing(cipher) };
  }

  opener(iv: Uint8Array, tag: Uint8Array, additional?: Uint8Array) {
    const decipher = createDecipheriv(this.#name, this.#key, iv, OPTIONS).setAuthTag(tag);
    if (additional !== undefined) decipher.setAAD(additional);
    return { update: (ciphertext: Uint8Array) => decipher.update(ciphertext), finish: () => finishOpening(decipher) };
  }
}

// eslint-disable-next-line require-yield -- Nothing here waits.
function* finishSealing(cipher: CipherGCM): Twin<{ ciphertext: Uint8Array; tag: Uint8Array }> {
  cipher.final();
  return { ciphertext: NOTHING, tag: cipher.getAuthTag() };
}

// eslint-disable-next-line require-yield -- Nothing here waits.
function* finishOpening(decipher: DecipherGCM): Twin<Uint8Array | null> {
  try {
    decipher.final();
    return NOTHING;
  } catch {
    return null;
  }
}
