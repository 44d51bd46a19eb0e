import type { Secret } from '../engine/types.js';
import type { AeadAlgorithm, AgreementCurve } from '../format/vocabulary.js';

/** A JSON Web Key (RFC 7517, RFC 8037) of the kinds that this library uses. Other members are ignored. */
export interface Jwk {
  /**
   * `oct` for a master key; `okp` (as the reference writes it) or `OKP` (RFC 8037) for a signing key; `OKP` with `crv` X25519, or
   * `EC` with P-256, for a recipient key.
   */
  readonly kty: string;
  readonly kid?: string;
  readonly alg?: string;
  /** Part of a key's identity in the reference. This library never opens it. */
  readonly jku?: string;
  readonly crv?: string;
  /** Master key, base64. */
  readonly k?: string;
  /** Public key, base64; of P-256 its first half. */
  readonly x?: string;
  /** Second half of a P-256 public key, base64. */
  readonly y?: string;
  /** Ed25519 seed or private key, base64. */
  readonly d?: string;
  /** What the key may still be used for. Default: `active`. */
  readonly state?: KeyState;
  readonly [member: string]: unknown;
}

/** A JWK set (RFC 7517 §5). */
export interface JwkSet {
  readonly keys: readonly Jwk[];
}

/** The names of a key: what a header selects by (FORMAT.md §2). Both are as untrusted as the file they come from. */
export interface KeyName {
  readonly kid: string | null;
  readonly jku: string | null;
}

/**
 * What a key may still be used for.
 *
 * - `active`: for everything.
 * - `decrypt-only`: on its way out. A master key opens files but encrypts none; a signing key verifies but does not sign.
 * - `revoked`: for nothing. A file that names it is refused with `KeyRevoked`.
 */
export type KeyState = 'active' | 'decrypt-only' | 'revoked';

/** A key with a state of its own. */
export interface StatedKey extends KeyName {
  readonly state: KeyState;
  /** Of signing keys and recipient keys: what they are, whatever they are called. Master keys have none. */
  readonly publicKey?: Uint8Array;
  /** Name of the provider that gave it when it was looked up; absent for a key that the caller gave. */
  readonly provider?: string;
}

/** A DEK as a record holds it. */
export interface WrappedDek {
  /** The encrypted DEK: as many bytes as the algorithm's keys have. */
  readonly wrapped: Uint8Array;
  /** 12 bytes. */
  readonly iv: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/**
 * Unwraps and wraps DEKs where the master key is: in an HSM or a key service. Both answer for every DEK, in the order given, and
 * reject if they cannot. The additional data is empty.
 */
export interface RemoteMaster {
  /** Resolves to the DEKs, in memory that is the caller's from then on and is wiped. */
  unwrap(deks: readonly WrappedDek[], options: { signal: AbortSignal }): Promise<readonly Uint8Array[]>;
  /** Encrypts each DEK with an IV that this key never used before. Without it the key opens files but writes none. */
  wrap?(deks: readonly Uint8Array[], options: { signal: AbortSignal }): Promise<readonly WrappedDek[]>;
}

/** A key that wraps DEKs: at hand as `secret`, or used where it is as `remote`. Exactly one of the two is there. */
export interface MasterKey extends StatedKey {
  /** The one algorithm the key is for; null if its JWK does not say, and then its length decides what it fits. */
  readonly algorithm: AeadAlgorithm | null;
  /** Empty for a revoked key, whose material is not loaded. */
  readonly secret: Secret | null;
  /** A key like that names its algorithm. */
  readonly remote: RemoteMaster | null;
  /** How long the provider of a remote key may take for an answer, if it says so. */
  readonly timeoutMs?: number | undefined;
}

/** Signs where the seed is not at hand: in an HSM or a key service. Resolves to the 64-byte Ed25519 signature. */
export type RemoteSigner = (message: Uint8Array, options: { signal: AbortSignal }) => Promise<Uint8Array>;

/** An Ed25519 key: for verifying, and for signing where a private part is there. */
export interface SigningKey extends StatedKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly seed: Secret | null;
  readonly remote: RemoteSigner | null;
  /** How long the provider of a remote key may take for an answer, if it says so. */
  readonly timeoutMs?: number | undefined;
}

/** A key that licences are issued to: for issuing, and for opening where the private part is there. */
export interface RecipientKey extends StatedKey {
  readonly curve: AgreementCurve;
  /** X25519: 32 bytes. P-256: x and y, 64 bytes. */
  readonly publicKey: Uint8Array;
  /** RFC 7638, of the public key: what a licence names it by. */
  readonly thumbprint: string;
  /** The private part, 32 bytes. Not loaded of a revoked key. */
  readonly secret: Secret | null;
}

/** Keys at hand, in the order in which they are preferred. */
export interface KeySet {
  readonly masterKeys: readonly MasterKey[];
  readonly signingKeys: readonly SigningKey[];
}

/** All that can be at hand. */
export interface LoadedKeys extends KeySet {
  readonly recipientKeys: readonly RecipientKey[];
}

/** Whether the key can encrypt, beside decrypting. */
export function canWrap(key: MasterKey): boolean {
  return key.remote === null || key.remote.wrap !== undefined;
}

/** Whether the key can sign. */
export function hasPrivatePart(key: SigningKey): boolean {
  return key.seed !== null || key.remote !== null;
}

/** The secrets of all keys. */
export function secretsOf({ masterKeys, signingKeys, recipientKeys }: LoadedKeys): Secret[] {
  const secrets = [
    ...masterKeys.map(({ secret }) => secret),
    ...signingKeys.map(({ seed }) => seed),
    ...recipientKeys.map(({ secret }) => secret),
  ];
  return secrets.filter((secret) => secret !== null);
}

/** Wipes the secrets of a set that nobody else refers to. */
export function disposeKeys(keys: LoadedKeys): void {
  for (const secret of secretsOf(keys)) secret.dispose();
}

/** What a header says of a key, and the caller instead of it. */
export interface KeyQuery extends KeyName {
  /** Kid that the caller asks for in place of the header's. */
  readonly override?: string | undefined;
}

export interface MasterKeyQuery extends KeyQuery {
  /** `enc.alg` of the header. */
  readonly algorithm: AeadAlgorithm;
}

/** What a writer says about its master key; nothing: any. */
export interface WritingKeyQuery {
  readonly kid?: string | undefined;
  readonly algorithm?: AeadAlgorithm | undefined;
}

/** Marks a `KeyRing`, for files that its own file imports. */
export const RING = Symbol('KeyRing');

/** Every `KeyRing` is one, and nothing else is. */
export interface AnyRing {
  readonly [RING]: true;
}
