import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { CryptoTensorsError } from '../../errors.js';
import { step } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { TAG_BYTES } from '../../format/vocabulary.js';
import type { AgreementCurve } from '../../format/vocabulary.js';
import { chachaInJavaScript } from './chacha.js';
import { NOTHING, orNull, wholePassage } from './primitives.js';
import type { Bytes, Primitives } from './primitives.js';

/** One call of `getRandomValues` gives no more. */
const MAX_RANDOM_BYTES = 65_536;

/**
 * On Web Crypto, which every browser and edge runtime has, and on the noble libraries for what it lacks: ChaCha20-Poly1305,
 * BLAKE3, digests of bytes that come in parts, Ed25519 from a seed. AES-GCM must be awaited.
 */
export const webCrypto: Primitives = {
  aead: { aes128gcm: 'webcrypto', aes256gcm: 'webcrypto', chacha20poly1305: '@noble/ciphers' },
  openssl: null,
  randomFill(bytes) {
    for (let at = 0; at < bytes.byteLength; at += MAX_RANDOM_BYTES) {
      crypto.getRandomValues(bytes.subarray(at, at + MAX_RANDOM_BYTES));
    }
    return bytes;
  },
  *cipher(algorithm, key) {
    if (algorithm === 'chacha20poly1305') return chachaInJavaScript(key);
    const imported = yield* awaited('AES-GCM', () =>
      crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt', 'decrypt']),
    );
    return {
      sealer: (iv) =>
        wholePassage((plaintext) =>
          awaited('AES-GCM', async () => new Uint8Array(await crypto.subtle.encrypt(gcm(iv), imported, plaintext))),
        ),
      opener: (iv, tag, additional) =>
        wholePassage(
          (stored) => awaited('AES-GCM', () => opened(crypto.subtle.decrypt(gcm(iv, additional), imported, stored))),
          tag,
        ),
    };
  },
  hasher: (algorithm) => (algorithm === 'sha256' ? sha256.create() : blake3.create()),
  ed25519PublicKey: (seed) => ed25519.getPublicKey(seed),
  ed25519Sign: (seed, message) => ed25519.sign(message, seed),
  *ed25519Verify(publicKey, message, signature) {
    return yield* step(
      () => verifyInJavaScript(publicKey, message, signature),
      () => verifyByPlatform(publicKey, message, signature),
    );
  },
  agreementPublicKey: (curve, secret) =>
    orNull(() => (curve === 'X25519' ? x25519.getPublicKey(secret) : p256.getPublicKey(secret, false).slice(1))),
  isAgreementKey: (curve, publicKey) =>
    curve === 'X25519' || orNull(() => p256.Point.fromBytes(pointOf(curve, publicKey))) !== null,
  agree: (curve, secret, peer) =>
    orNull(() =>
      curve === 'X25519'
        ? x25519.getSharedSecret(secret, peer)
        : p256.getSharedSecret(secret, pointOf(curve, peer), true).slice(1),
    ),
};

/** What stands before the coordinates of a point of P-256, which JWKs have alone. */
const UNCOMPRESSED = 4;

function pointOf(curve: AgreementCurve, publicKey: Uint8Array): Uint8Array {
  if (curve === 'X25519') return publicKey;
  const point = new Uint8Array(1 + publicKey.length).fill(UNCOMPRESSED, 0, 1);
  point.set(publicKey, 1);
  return point;
}

/** Browsers have had Ed25519 since 2025; older ones get it from a library. */
async function verifyByPlatform(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  let key;
  try {
    key = await crypto.subtle.importKey('raw', Uint8Array.from(publicKey), 'Ed25519', false, ['verify']);
  } catch {
    return verifyInJavaScript(publicKey, message, signature);
  }
  // Copies: Web Crypto takes no shared memory.
  return crypto.subtle.verify('Ed25519', key, Uint8Array.from(signature), Uint8Array.from(message));
}

function verifyInJavaScript(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return orNull(() => ed25519.verify(signature, message, publicKey, { zip215: false })) ?? false;
}

function awaited<Result>(what: string, work: () => Promise<Result>): Twin<Result> {
  return step(() => {
    throw new CryptoTensorsError(
      'NativeUnavailable',
      `This engine has ${what} from Web Crypto, which cannot block. Use the asynchronous form`,
    );
  }, work);
}

function gcm(iv: Bytes, additional: Uint8Array = NOTHING) {
  return { name: 'AES-GCM', iv, additionalData: Uint8Array.from(additional), tagLength: TAG_BYTES * 8 };
}

/** Web Crypto says `OperationError` of a tag that does not match; whatever else there is passes on. */
async function opened(plaintext: Promise<ArrayBuffer>): Promise<Uint8Array | null> {
  try {
    return new Uint8Array(await plaintext);
  } catch (error) {
    if (error instanceof Error && error.name === 'OperationError') return null;
    throw error;
  }
}
