import { createHash, createPrivateKey, createPublicKey, randomBytes, sign, timingSafeEqual, verify } from 'node:crypto';
import { inspect } from 'node:util';
import { getEngine } from '#dist/engine/load.js';
import type { Engine, Secret } from '#dist/engine/types.js';
import type { AgreementCurve } from '#dist/format/vocabulary.js';

const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

class FakeSecret implements Secret {
  #bytes: Buffer | null;
  readonly byteLength: number;

  constructor(
    bytes: Uint8Array,
    private readonly live: Set<Secret>,
  ) {
    this.#bytes = Buffer.from(bytes);
    this.byteLength = bytes.byteLength;
    live.add(this);
  }

  get bytes(): Buffer {
    if (this.#bytes === null) throw new Error('use of a secret after dispose');
    return this.#bytes;
  }

  dispose(): void {
    this.#bytes?.fill(0);
    this.#bytes = null;
    this.live.delete(this);
  }

  [inspect.custom](): string {
    return `Secret(${this.byteLength} bytes)`;
  }
}

/** What keys need of an engine, on node:crypto, counting the secrets that nobody has disposed. */
export class FakeEngine {
  readonly name = 'portable';
  readonly live = new Set<Secret>();

  importSecret(bytes: Uint8Array): Secret {
    return new FakeSecret(bytes, this.live);
  }

  importSecretBase64(text: Uint8Array): Secret | null {
    const ascii = Buffer.from(text).toString('latin1');
    const body = ascii.replace(/={1,2}$/, '');
    const standard = /^[A-Za-z0-9+/]*$/.test(body);
    if (!standard && !/^[A-Za-z0-9_-]*$/.test(body)) return null;
    if (body !== ascii && ascii.length % 4 !== 0) return null;
    const bytes = Buffer.from(body, standard ? 'base64' : 'base64url');
    const again = bytes.toString(standard ? 'base64' : 'base64url').replace(/=+$/, '');
    return again === body ? new FakeSecret(bytes, this.live) : null;
  }

  randomSecret(byteLength: number): Secret {
    return new FakeSecret(randomBytes(byteLength), this.live);
  }

  exportSecret(secret: Secret): Uint8Array {
    return Uint8Array.from(bytesOf(secret));
  }

  secretsEqual(a: Secret, b: Secret): boolean {
    return timingSafeEqual(bytesOf(a), bytesOf(b));
  }

  ed25519PublicKey(seed: Secret): Uint8Array {
    const spki = createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' });
    return Uint8Array.from(spki.subarray(SPKI_PREFIX.length));
  }

  ed25519Sign(seed: Secret, message: Uint8Array): Uint8Array {
    return Uint8Array.from(sign(null, message, privateKey(seed)));
  }

  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    const key = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' });
    return verify(null, message, key, signature);
  }

  agreementPublicKey(curve: AgreementCurve, secret: Secret): Uint8Array | null {
    const copy = getEngine().importSecret(bytesOf(secret));
    try {
      return getEngine().agreementPublicKey(curve, copy);
    } finally {
      copy.dispose();
    }
  }

  isAgreementPublicKey(curve: AgreementCurve, publicKey: Uint8Array): boolean {
    return getEngine().isAgreementPublicKey(curve, publicKey);
  }

  digest(algorithm: string, bytes: Uint8Array): Uint8Array {
    return Uint8Array.from(createHash(algorithm).update(bytes).digest());
  }

  wipe(bytes: Uint8Array): void {
    bytes.fill(0);
  }

  /** As the interface: tests of keys use no other part of it. */
  get engine(): Engine {
    return this as unknown as Engine;
  }
}

function bytesOf(secret: Secret): Buffer {
  if (secret instanceof FakeSecret) return secret.bytes;
  throw new TypeError('a secret of another engine');
}

function privateKey(seed: Secret): ReturnType<typeof createPrivateKey> {
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, bytesOf(seed)]), format: 'der', type: 'pkcs8' });
}
