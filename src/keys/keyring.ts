import { DISPOSE } from '../disposal.js';
import { CryptoTensorsError } from '../errors.js';
import type { Secret } from '../engine/types.js';
import type { AeadAlgorithm, AgreementCurve } from '../format/vocabulary.js';
import { NOT_CLONEABLE, notCloneable } from '../not-cloneable.js';
import { describeKids, describeNames } from './describe.js';
import type { KeyProvider } from './providers/types.js';
import { statesAmong } from './state.js';
import type { AnyRing, KeyState } from './types.js';
import { RING, hasPrivatePart } from './types.js';
import type { Jwk, JwkSet, LoadedKeys } from './types.js';

/**
 * Where keys come from: the path of a JWK or JWK set file (a string or `file:` URL), its JSON text as bytes, JWK objects, a
 * `KeyRing`, a `KeyProvider`, or a list of these, in falling preference.
 */
export type KeysInput = string | URL | Uint8Array | Jwk | JwkSet | KeyRing | KeyProvider | readonly KeysInput[];

/** What is shown of a master key. */
export interface MasterKeyInfo {
  readonly kid: string | null;
  readonly algorithm: AeadAlgorithm | null;
  /** The strictest state of all keys of this name in the ring. */
  readonly state: KeyState;
}

/** What is shown of a signing key. */
export interface SigningKeyInfo {
  readonly kid: string | null;
  readonly algorithm: 'ed25519';
  /** Whether it can sign, or only verify. */
  readonly hasPrivate: boolean;
  /** The strictest state of all keys of this name in the ring. */
  readonly state: KeyState;
}

/** What is shown of a recipient key. */
export interface RecipientKeyInfo {
  readonly kid: string | null;
  readonly curve: AgreementCurve;
  /** RFC 7638, of its public part: what licences name it by. */
  readonly thumbprint: string;
  /** Whether it can open licences, or they can only be issued to it. */
  readonly hasPrivate: boolean;
  /** The strictest state of all keys of this name in the ring. */
  readonly state: KeyState;
}

/** What a ring holds. */
export interface RingContents extends LoadedKeys {
  readonly providers: readonly KeyProvider[];
}

interface RingParts extends RingContents {
  /** Secrets that are wiped with the ring. */
  readonly owned: readonly Secret[];
  /** Rings whose keys are in this one as well; they stay their owner's. */
  readonly borrowed: readonly KeyRing[];
}

/** Only this module makes rings: elsewhere nobody could hand one keys that were not checked. */
const MAKER = Symbol('KeyRing');

let construct: (parts: RingParts) => KeyRing;
let partsOf: (ring: KeyRing) => RingParts;
let adopt: (ring: KeyRing, secret: Secret) => void;
let release: (ring: KeyRing) => RingParts;

/**
 * Keys that were parsed and moved to native memory. Whatever prints or serialises a ring sees key ids only.
 *
 * A ring can be used for any number of files. `dispose()` (or `using`) wipes its keys; files that are open already are
 * not affected.
 */
export class KeyRing implements AnyRing {
  /** @internal */
  readonly [RING] = true;
  #parts: RingParts | null;
  readonly #adopted: Secret[] = [];
  /** @internal */
  readonly [NOT_CLONEABLE] = notCloneable('a KeyRing: its keys stay in native memory. Load them in each thread');

  static {
    construct = (parts) => new KeyRing(parts, MAKER);
    partsOf = (ring) => ring.#open();
    adopt = (ring, secret) => {
      ring.#open();
      ring.#adopted.push(secret);
    };
    release = (ring) => {
      const parts = ring.#open();
      ring.#parts = null;
      return parts;
    };
  }

  private constructor(parts: RingParts, maker: typeof MAKER) {
    if (maker !== MAKER) throw new TypeError('a KeyRing is made by loadKeys()');
    this.#parts = parts;
  }

  /** The master keys, without their material. Empty once the ring is disposed. */
  get masterKeys(): readonly MasterKeyInfo[] {
    const keys = this.#parts?.masterKeys ?? [];
    const stateOf = statesAmong(keys);
    return keys.map((key) => ({ kid: key.kid, algorithm: key.algorithm, state: stateOf(key) }));
  }

  /** The signing and verifying keys, without their material. Empty once the ring is disposed. */
  get signingKeys(): readonly SigningKeyInfo[] {
    const keys = this.#parts?.signingKeys ?? [];
    const stateOf = statesAmong(keys);
    return keys.map((key) => ({
      kid: key.kid,
      algorithm: 'ed25519',
      hasPrivate: hasPrivatePart(key),
      state: stateOf(key),
    }));
  }

  /** The keys that licences are issued to, without their private parts. Empty once the ring is disposed. */
  get recipientKeys(): readonly RecipientKeyInfo[] {
    const keys = this.#parts?.recipientKeys ?? [];
    const stateOf = statesAmong(keys);
    return keys.map((key) => ({
      kid: key.kid,
      curve: key.curve,
      thumbprint: key.thumbprint,
      hasPrivate: key.secret !== null,
      state: stateOf(key),
    }));
  }

  /** Names of the providers that are asked for keys that the ring does not hold. */
  get providers(): readonly string[] {
    return (this.#parts?.providers ?? []).map(({ name }) => name);
  }

  get disposed(): boolean {
    return this.#parts === null;
  }

  /** Wipes the keys that this ring loaded. Idempotent. */
  dispose(): void {
    const parts = this.#parts;
    this.#parts = null;
    for (const secret of parts?.owned ?? []) secret.dispose();
    for (const secret of this.#adopted.splice(0)) secret.dispose();
  }

  [DISPOSE](): void {
    this.dispose();
  }

  /** Key ids only. */
  toJSON(): Record<'masterKeys' | 'signingKeys' | 'recipientKeys', (string | null)[]> & {
    providers: readonly string[];
  } {
    return {
      masterKeys: this.masterKeys.map(({ kid }) => kid),
      signingKeys: this.signingKeys.map(({ kid }) => kid),
      recipientKeys: this.recipientKeys.map(({ kid }) => kid),
      providers: this.providers,
    };
  }

  toString(): string {
    if (this.disposed) return 'KeyRing (disposed)';
    const { masterKeys, signingKeys, recipientKeys, providers } = this;
    const recipients = recipientKeys.length === 0 ? '' : ` recipient keys: ${describeKids(recipientKeys)};`;
    return `KeyRing (master keys: ${describeKids(masterKeys)}; signing keys: ${describeKids(signingKeys)};${recipients} providers: ${describeNames(providers)})`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  #open(): RingParts {
    const parts = this.#parts;
    if (parts === null || parts.borrowed.some((ring) => ring.disposed)) {
      throw new CryptoTensorsError('Closed', 'this KeyRing was disposed, and its keys are gone: load them again');
    }
    return parts;
  }
}

export function createKeyRing(parts: RingParts): KeyRing {
  return construct(parts);
}

/** The keys themselves, for the inside of the library. @throws Closed */
export function ringContents(ring: KeyRing): RingContents {
  return partsOf(ring);
}

/** Hands a secret over to a ring, which wipes it when it is disposed. @throws Closed */
export function adoptSecret(ring: KeyRing, secret: Secret): void {
  adopt(ring, secret);
}

/** Ends a ring without wiping its keys: the caller takes them over. @throws Closed */
export function releaseKeyRing(ring: KeyRing): LoadedKeys & { readonly owned: readonly Secret[] } {
  const { masterKeys, signingKeys, recipientKeys, owned } = release(ring);
  return { masterKeys, signingKeys, recipientKeys, owned };
}

/** Whether there is any key or any provider to ask: whether the caller has said anything about keys. */
export function hasKeySources(ring: KeyRing): boolean {
  const { masterKeys, signingKeys, recipientKeys, providers } = partsOf(ring);
  return masterKeys.length + signingKeys.length + recipientKeys.length + providers.length > 0;
}
