import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  getCiphers,
  randomFillSync,
  sign,
  verify,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { versions } from 'node:process';
import { promisify } from 'node:util';
import { blake3 } from '@noble/hashes/blake3.js';
import { step } from '../../twin.js';
import { TAG_BYTES } from '../../format/vocabulary.js';
import type { AeadAlgorithm, AgreementCurve } from '../../format/vocabulary.js';
import { chachaInJavaScript } from './chacha.js';
import { NOTHING, orNull } from './primitives.js';
import type { Bytes, Cipher, Primitives } from './primitives.js';
import { keyMemory } from './secret.js';

const CIPHERS = { aes128gcm: 'aes-128-gcm', aes256gcm: 'aes-256-gcm', chacha20poly1305: 'chacha20-poly1305' } as const;
/** Shorter tags than the format's are refused rather than compared as far as they go. */
const OPTIONS = { authTagLength: TAG_BYTES };
/** Bun has not. */
const HAS_CHACHA = getCiphers().includes(CIPHERS.chacha20poly1305);

const openssl = (versions as Partial<typeof versions>).openssl;
const verifyInThreadPool = promisify(verify);

/* eslint-disable require-yield -- Nothing here waits but the one signature. */

/** On node:crypto, which blocks. It knows no BLAKE3. */
export const nodeCrypto: Primitives = {
  aead: {
    aes128gcm: 'node:crypto',
    aes256gcm: 'node:crypto',
    chacha20poly1305: HAS_CHACHA ? 'node:crypto' : '@noble/ciphers',
  },
  openssl: openssl === undefined ? null : `OpenSSL ${openssl}`,
  randomFill: (bytes) => randomFillSync(bytes),
  *cipher(algorithm, key) {
    return algorithm === 'chacha20poly1305' && !HAS_CHACHA ? chachaInJavaScript(key) : nodeCipher(algorithm, key);
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
    return own && other && orNull(() => diffieHellman({ privateKey: own, publicKey: other }));
  },
};

function nodeCipher(algorithm: AeadAlgorithm, key: Bytes): Cipher {
  // The types of node:crypto know each cipher by itself only; GCM's fit all three.
  const name = CIPHERS[algorithm] as 'aes-256-gcm';
  return {
    sealer(iv) {
      const cipher = createCipheriv(name, key, iv, OPTIONS);
      return {
        update: (plaintext) => cipher.update(plaintext),
        *finish() {
          cipher.final();
          return cipher.getAuthTag();
        },
      };
    },
    opener(iv, tag, additional) {
      const decipher = createDecipheriv(name, key, iv, OPTIONS).setAuthTag(tag);
      if (additional !== undefined) decipher.setAAD(additional);
      return {
        update: (ciphertext) => decipher.update(ciphertext),
        *finish() {
          return orNull(() => decipher.final()) && NOTHING;
        },
      };
    },
  };
}

/*
 * Asymmetric keys, which node:crypto wants in DER. Each key object is made for one use; what node:crypto keeps of it is wiped when
 * the collector takes it.
 */

type Curve = AgreementCurve | 'Ed25519';

/** What stands before a public key in SPKI, and before a private one in PKCS #8 (RFC 8410, RFC 5915). */
const SPKI: Readonly<Record<Curve, Buffer>> = {
  Ed25519: Buffer.from('302a300506032b6570032100', 'hex'),
  X25519: Buffer.from('302a300506032b656e032100', 'hex'),
  'P-256': Buffer.from('3059301306072a8648ce3d020106082a8648ce3d03010703420004', 'hex'),
};
const PKCS8: Readonly<Record<Curve, Buffer>> = {
  Ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
  X25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
  'P-256': Buffer.from('3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420', 'hex'),
};

/** The order of P-256: private keys are from 1 to below it, which OpenSSL does not check. */
const P256_ORDER = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex');

/** Null for bytes that are none. */
function privateKey(curve: Curve, bytes: Uint8Array): KeyObject | null {
  if (curve === 'P-256' && (bytes.every((byte) => byte === 0) || P256_ORDER.compare(bytes) <= 0)) return null;
  const start = PKCS8[curve];
  const der = keyMemory(start.length + bytes.byteLength);
  der.set(start);
  der.set(bytes, start.length);
  const key = orNull(() => createPrivateKey({ key: Buffer.from(der.buffer), format: 'der', type: 'pkcs8' }));
  der.fill(0);
  return key;
}

/** Null for bytes that are none. */
function publicKey(curve: Curve, bytes: Uint8Array): KeyObject | null {
  const key = Buffer.concat([SPKI[curve], bytes]);
  return orNull(() => createPublicKey({ key, format: 'der', type: 'spki' }));
}

/** The public key of a private one; null for bytes that are none. */
function publicBytes(curve: Curve, secret: Uint8Array): Uint8Array | null {
  const key = privateKey(curve, secret);
  const der = key && createPublicKey(key).export({ format: 'der', type: 'spki' });
  return der && Uint8Array.from(der.subarray(SPKI[curve].length));
}
