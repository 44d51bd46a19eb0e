import type { AeadAlgorithm } from '../../format/vocabulary.js';
import type { AnyRing, KeyState } from '../types.js';
import type { Jwk, JwkSet, KeyName, RemoteMaster, RemoteSigner } from '../types.js';
import { memberOf } from '../../options.js';

/**
 * The reference's places: keys given directly, providers that are code, key files, the environment. The highest is asked
 * first.
 */
export const PROVIDER_PRIORITY = { direct: 100, native: 50, file: 10, env: 0 } as const;

/** What a key is needed for. */
export type KeyRole = 'master' | 'verifying' | 'signing' | 'recipient';

/**
 * What a provider is asked for.
 *
 * On opening a file, `kid` and `jku` come from a header that nobody has verified yet: treat them as a search term that
 * an attacker may have written. In particular, never open or fetch a `jku`; compare it.
 *
 * For `recipient`, the private key that opens a licence, `kid` is the RFC 7638 thumbprint of its public part.
 */
export interface KeySelector extends KeyName {
  readonly role: KeyRole;
  /** For `master`: what the key is to be used with, null if the provider may choose. Null for the other roles. */
  readonly algorithm: AeadAlgorithm | null;
}

/** A master key as bytes. Without a `kid` it answers for the kid that was asked for. */
export interface RawMasterKey {
  readonly kid?: string;
  readonly algorithm?: AeadAlgorithm | null;
  /** 16 or 32 bytes. */
  readonly key: Uint8Array;
  /** Default: `active`. */
  readonly state?: KeyState;
}

/** A master key that stays where it is. Without a `kid` it answers for the kid that was asked for. */
export interface RemoteMasterKey extends RemoteMaster {
  readonly kid?: string;
  readonly algorithm: AeadAlgorithm;
  /** Default: `active`. */
  readonly state?: KeyState;
}

/** An Ed25519 key as bytes. Without a `kid` it answers for the kid that was asked for. */
export interface RawSigningKey {
  readonly kid?: string;
  /** 32 bytes. May be absent where `seed` is there. */
  readonly publicKey?: Uint8Array;
  /** 32 bytes. */
  readonly seed?: Uint8Array;
  /** Signs in place of a seed, where that never leaves an HSM or a key service. `publicKey` must be there. */
  readonly sign?: RemoteSigner;
  /** Default: `active`. */
  readonly state?: KeyState;
}

/** Keys as a provider hands them over; a `Uint8Array` is the JSON text of a JWK or JWK set, `AnyRing` a `KeyRing`. */
export type KeyMaterial = Jwk | JwkSet | Uint8Array | AnyRing | RawMasterKey | RemoteMasterKey | RawSigningKey;

/** Keys, or nothing. A provider may answer with more than was asked for; what does not fit is dropped. */
export type KeyAnswer = KeyMaterial | readonly KeyMaterial[] | null | undefined;

/** A source of keys that is asked when a key is needed: a key service, a vault, a file. One of the two methods is enough. */
export interface KeyProvider {
  /** Names the provider in messages and in the registry. */
  readonly name: string;
  /** Its place in the registry, see `PROVIDER_PRIORITY`. */
  readonly priority?: number;
  /** How long to wait for `find`, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
  /** True if the byte arrays in its answers are fresh copies: they are then wiped as soon as they were read. */
  readonly wipeAnswers?: boolean;
  /** What it has keys for; it is not asked for anything else. Default: everything. */
  readonly roles?: readonly KeyRole[];
  /** Whether there is anything to ask at the moment. A registered provider that says no counts as absent. Default: yes. */
  isConfigured?(): boolean;
  /** Asked by the asynchronous functions. `signal` aborts at the timeout or when the caller gives up. */
  find?(selector: KeySelector, options: { signal: AbortSignal }): KeyAnswer | Promise<KeyAnswer>;
  /** Asked by the `…Sync` functions, and by the others where there is no `find`. */
  findSync?(selector: KeySelector): KeyAnswer;
}

export function isKeyProvider(value: object): value is KeyProvider {
  return ['find', 'findSync'].some((method) => typeof memberOf(value, method) === 'function');
}
