import { isUint8Array } from 'node:util/types';
import { argumentError, quote } from '../../errors.js';
import { AEAD_KEY_BYTES } from '../../format/vocabulary.js';
import type { Engine, Secret } from '../../engine/types.js';
import type { AeadAlgorithm } from '../../format/vocabulary.js';
import { invalidKey } from '../jwk-document.js';
import { jwksFromObject, isJwk, isJwkSet } from '../jwk-object.js';
import { ED25519_BYTES, parseJwks } from '../jwk.js';
import { KeyRing, releaseKeyRing, ringContents } from '../keyring.js';
import { KEY_STATES, isKeyState } from '../state.js';
import type { KeyState } from '../types.js';
import { secretsOf } from '../types.js';
import type { LoadedKeys, MasterKey, RecipientKey, RemoteMaster, SigningKey } from '../types.js';
import { isHandedOver, originOf } from './material.js';
import type { KeyAnswer, KeyProvider, KeySelector, RawMasterKey, RawSigningKey, RemoteMasterKey } from './types.js';
import { memberOf, membersOf } from '../../options.js';

/** The keys of an answer. */
export interface Answered extends LoadedKeys {
  /** Secrets that were made for this answer: whoever takes a key takes its secret over, the others are to be wiped. */
  readonly owned: readonly Secret[];
}

/**
 * Reads a provider's answer, with the checks that a key file gets.
 *
 * @throws InvalidKey, TypeError, Closed
 */
export function readAnswer(answer: KeyAnswer, provider: KeyProvider, selector: KeySelector, engine: Engine): Answered {
  const reader = new AnswerReader(provider, selector, engine);
  try {
    const parts: readonly unknown[] = Array.isArray(answer) ? answer : [answer];
    for (const part of parts) reader.read(part);
    return reader;
  } catch (error) {
    for (const secret of reader.owned) secret.dispose();
    throw error;
  } finally {
    if (memberOf(provider, 'wipeAnswers') === true) wipeBytes(answer, engine);
  }
}

class AnswerReader implements Answered {
  readonly masterKeys: MasterKey[] = [];
  readonly signingKeys: SigningKey[] = [];
  readonly recipientKeys: RecipientKey[] = [];
  readonly owned: Secret[] = [];
  readonly #name: string;
  /** Of remote keys. */
  readonly #time: { timeoutMs?: number };

  constructor(
    provider: KeyProvider,
    private readonly selector: KeySelector,
    private readonly engine: Engine,
  ) {
    const timeoutMs = memberOf(provider, 'timeoutMs');
    this.#time = timeoutMs === undefined ? {} : { timeoutMs };
    this.#name = `the answer of key provider ${quote(provider.name)}`;
  }

  read(part: unknown): void {
    if (part === null || part === undefined) return;
    if (isUint8Array(part)) {
      this.#addText(part);
    } else if (part instanceof KeyRing) {
      this.#addRing(part);
    } else if (typeof part !== 'object') {
      throw argumentError(this.#name, 'key material', part);
    } else if (isJwk(part) || isJwkSet(part)) {
      const text = jwksFromObject(part, this.#name);
      try {
        this.#addText(text);
      } finally {
        this.engine.wipe(text);
      }
    } else if (memberOf(part, 'unwrap') !== undefined) {
      this.#addRemoteMasterKey(part as RemoteMasterKey);
    } else if (memberOf(part, 'key') !== undefined) {
      this.#addMasterKey(part as RawMasterKey);
    } else {
      this.#addSigningKey(part);
    }
  }

  #addText(text: Uint8Array): void {
    const keys = parseJwks(text, this.engine, originOf(text) ?? { where: this.#name });
    this.#add(keys);
    for (const secret of secretsOf(keys)) this.owned.push(secret);
  }

  #addRing(ring: KeyRing): void {
    if (!isHandedOver(ring)) {
      this.#add(ringContents(ring));
      return;
    }
    const { owned, ...keys } = releaseKeyRing(ring);
    this.#add(keys);
    for (const secret of owned) this.owned.push(secret);
  }

  #addMasterKey(raw: RawMasterKey): void {
    const { kid, algorithm = null, state } = membersOf(raw, ['kid', 'algorithm', 'state']);
    const { key } = raw;
    const name = this.#checkKid(kid);
    const checkedState = this.#checkState(state, name);
    this.#checkBytes(key, 'key');
    const lengths = lengthsOf(algorithm);
    if (lengths === undefined) {
      throw this.#invalid(name, `"algorithm" must be one of ${Object.keys(AEAD_KEY_BYTES).join(', ')}`);
    }
    if (!lengths.includes(key.byteLength)) {
      throw this.#invalid(name, `"key" must be ${lengths.join(' or ')} bytes, but is ${key.byteLength}`);
    }
    // What is never used is not loaded.
    const secret = this.#own(checkedState === 'revoked' ? new Uint8Array(0) : key);
    this.masterKeys.push({ kid: name, jku: null, state: checkedState, algorithm, secret, remote: null });
  }

  #addRemoteMasterKey(key: RemoteMasterKey): void {
    const members = membersOf(key, ['kid', 'state', 'algorithm', 'unwrap', 'wrap']);
    const name = this.#checkKid(members.kid);
    const state = this.#checkState(members.state, name);
    const { algorithm, unwrap, wrap }: { algorithm?: unknown; unwrap?: unknown; wrap?: unknown } = members;
    if (typeof algorithm !== 'string' || !Object.hasOwn(AEAD_KEY_BYTES, algorithm)) {
      throw this.#invalid(name, `"algorithm" must be one of ${Object.keys(AEAD_KEY_BYTES).join(', ')}`);
    }
    if (memberOf(key as object, 'key') !== undefined)
      throw this.#invalid(name, 'it has both "key" and "unwrap": a key is at hand or it is not');
    this.#checkFunction(unwrap, 'unwrap');
    if (wrap !== undefined) this.#checkFunction(wrap, 'wrap');
    // As methods of what the provider gave, which may be of a class.
    const remote: RemoteMaster = {
      unwrap: key.unwrap.bind(key),
      ...(members.wrap === undefined ? {} : { wrap: members.wrap.bind(key) }),
    };
    this.masterKeys.push({
      kid: name,
      jku: null,
      state,
      algorithm: key.algorithm,
      secret: null,
      remote,
      ...this.#time,
    });
  }

  #addSigningKey(raw: RawSigningKey): void {
    const { publicKey, seed, sign, kid, state } = membersOf(raw, ['publicKey', 'seed', 'sign', 'kid', 'state']);
    const name = this.#checkKid(kid);
    const checkedState = this.#checkState(state, name);
    for (const [member, bytes] of Object.entries({ publicKey, seed })) {
      if (bytes === undefined) continue;
      this.#checkBytes(bytes, member);
      if (bytes.byteLength !== ED25519_BYTES) {
        throw this.#invalid(name, `"${member}" must be ${ED25519_BYTES} bytes, but is ${bytes.byteLength}`);
      }
    }
    if (sign !== undefined) this.#checkFunction(sign, 'sign');
    const secret = seed === undefined ? null : this.#own(seed);
    // A copy: the answer's own bytes may be wiped, or changed by the provider later.
    const stated = publicKey === undefined ? undefined : Uint8Array.from(publicKey);
    const derived = secret === null ? stated : this.engine.ed25519PublicKey(secret);
    if (derived === undefined) {
      throw this.#invalid(name, 'expected a JWK, a JWK set, or raw key bytes: no member of these is there');
    }
    if (stated !== undefined && Buffer.compare(stated, derived) !== 0) {
      throw this.#invalid(name, '"publicKey" is not the public key of "seed": they are halves of different keys');
    }
    this.signingKeys.push({
      kid: name,
      jku: null,
      state: checkedState,
      publicKey: derived,
      seed: secret,
      remote: sign ?? null,
      ...this.#time,
    });
  }

  #add({ masterKeys, signingKeys, recipientKeys }: LoadedKeys): void {
    for (const key of masterKeys) this.masterKeys.push(key);
    for (const key of signingKeys) this.signingKeys.push(key);
    for (const key of recipientKeys) this.recipientKeys.push(key);
  }

  #own(bytes: Uint8Array): Secret {
    const secret = this.engine.importSecret(bytes);
    this.owned.push(secret);
    return secret;
  }

  /** Raw key bytes without a name answer for the name that was asked for. */
  #checkKid(kid: unknown): string | null {
    if (kid === undefined || kid === null) return this.selector.kid;
    if (typeof kid !== 'string') throw argumentError(`kid in ${this.#name}`, 'a string', kid);
    return kid;
  }

  #checkState(state: unknown, kid: string | null): KeyState {
    if (state === undefined) return 'active';
    if (typeof state !== 'string') throw argumentError(`state in ${this.#name}`, 'a string', state);
    if (!isKeyState(state)) throw this.#invalid(kid, `"state" must be one of ${KEY_STATES.join(', ')}`);
    return state;
  }

  #checkFunction(value: unknown, member: string): void {
    if (typeof value !== 'function') throw argumentError(`${member} in ${this.#name}`, 'a function', value);
  }

  #checkBytes(bytes: unknown, member: string): asserts bytes is Uint8Array {
    if (!isUint8Array(bytes)) throw argumentError(`${member} in ${this.#name}`, 'a Uint8Array', bytes);
  }

  #invalid(kid: string | null, problem: string): Error {
    return invalidKey({ label: 'the key', kid, origin: { where: this.#name } }, problem);
  }
}

function lengthsOf(algorithm: AeadAlgorithm | null): readonly number[] | undefined {
  if (algorithm === null) return [AEAD_KEY_BYTES.aes128gcm, AEAD_KEY_BYTES.aes256gcm];
  return Object.hasOwn(AEAD_KEY_BYTES, algorithm) ? [AEAD_KEY_BYTES[algorithm]] : undefined;
}

/** Wipes what was made for an answer that nobody waits for any more. */
export function discardAnswer(answer: unknown, provider: KeyProvider, engine: Engine): void {
  if (memberOf(provider, 'wipeAnswers') === true) wipeBytes(answer, engine);
  const parts: unknown[] = Array.isArray(answer) ? answer : [answer];
  for (const part of parts) if (part instanceof KeyRing && isHandedOver(part)) part.dispose();
}

/** Wipes the byte arrays that an answer consists of or holds as members. */
function wipeBytes(answer: unknown, engine: Engine): void {
  const parts: unknown[] = Array.isArray(answer) ? answer : [answer];
  for (const part of parts) {
    if (isUint8Array(part)) engine.wipe(part);
    else if (typeof part === 'object' && part !== null && !(part instanceof KeyRing)) {
      for (const member of Object.values(part)) if (isUint8Array(member)) engine.wipe(member);
    }
  }
}
