import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { AeadAlgorithm, Jwk, KeyProvider, RemoteMasterKey, WrappedDek } from 'cryptotensors';

const CIPHERS = { aes128gcm: 'aes-128-gcm', aes256gcm: 'aes-256-gcm', chacha20poly1305: 'chacha20-poly1305' } as const;

/** A key service that never gives its master key away, on node:crypto. */
export class KeyService implements RemoteMasterKey {
  readonly kid = 'hsm';
  readonly algorithm: AeadAlgorithm;
  /** How often each of the two was asked. */
  readonly asked = { unwrap: 0, wrap: 0 };
  /** All DEKs that came in or went out: to see that they were wiped. */
  readonly seen: Uint8Array[] = [];
  readonly #key: Buffer;

  constructor({ algorithm = 'aes256gcm' }: { algorithm?: AeadAlgorithm } = {}) {
    this.algorithm = algorithm;
    this.#key = randomBytes(algorithm === 'aes128gcm' ? 16 : 32);
  }

  async unwrap(deks: readonly WrappedDek[]): Promise<Uint8Array[]> {
    this.asked.unwrap++;
    return Promise.resolve(deks.map((dek) => this.#open(dek)));
  }

  async wrap(deks: readonly Uint8Array[]): Promise<WrappedDek[]> {
    this.asked.wrap++;
    this.seen.push(...deks);
    return Promise.resolve(deks.map((dek) => this.#seal(dek)));
  }

  /** A provider that answers with this key, blocking or not. */
  get provider(): KeyProvider {
    return { name: 'service', findSync: ({ role }) => (role === 'master' ? this : null) };
  }

  /** The same key as a file would hold it. */
  get jwk(): Jwk {
    return { kty: 'oct', alg: this.algorithm, kid: this.kid, k: this.#key.toString('base64') };
  }

  #open({ wrapped, iv, tag }: WrappedDek): Uint8Array {
    const opener = createDecipheriv(CIPHERS[this.algorithm] as 'aes-256-gcm', this.#key, iv, { authTagLength: 16 });
    opener.setAuthTag(tag);
    const dek = Uint8Array.from(Buffer.concat([opener.update(wrapped), opener.final()]));
    this.seen.push(dek);
    return dek;
  }

  #seal(dek: Uint8Array): WrappedDek {
    const iv = Uint8Array.from(randomBytes(12));
    const sealer = createCipheriv(CIPHERS[this.algorithm] as 'aes-256-gcm', this.#key, iv, { authTagLength: 16 });
    const wrapped = Uint8Array.from(Buffer.concat([sealer.update(dek), sealer.final()]));
    return { wrapped, iv, tag: Uint8Array.from(sealer.getAuthTag()) };
  }
}
