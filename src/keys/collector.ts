import type { Engine } from '../engine/types.js';
import { invalidKey } from './jwk-document.js';
import type { KeyLabel } from './jwk-document.js';
import { stricterState, toldApart } from './state.js';
import { disposeKeys } from './types.js';
import type { KeyName, MasterKey, RecipientKey, SigningKey } from './types.js';

/**
 * Gathers the keys of one document. A `kid` names one key of a role: the same key listed twice counts once; two keys
 * under one `kid` are refused, unless each has a `jku` of its own that tells them apart. Of a key that is listed in several
 * states, the strictest holds.
 */
export class KeyCollector {
  readonly keys: { masterKeys: MasterKey[]; signingKeys: SigningKey[]; recipientKeys: RecipientKey[] } = {
    masterKeys: [],
    signingKeys: [],
    recipientKeys: [],
  };
  readonly #engine: Engine;
  readonly #mastersByKid = new Map<string, MasterKey[]>();
  readonly #signersByKid = new Map<string, SigningKey[]>();
  readonly #recipientsByKid = new Map<string, RecipientKey[]>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Takes the key over, also when it throws. */
  addMasterKey(key: MasterKey, name: KeyLabel): void {
    const namesakes = namesakesOf(this.#mastersByKid, key);
    for (const [at, other] of namesakes.entries()) {
      // A revoked key has no material to compare: it stands beside the other, and counts for both (`statesAmong`).
      if ((key.state === 'revoked') !== (other.state === 'revoked')) continue;
      const same = this.#sameMaterial(key, other);
      if (same && key.algorithm === other.algorithm) {
        key.secret?.dispose();
        const stricter = { ...other, state: stricterState(key.state, other.state) };
        namesakes[at] = stricter;
        this.keys.masterKeys[this.keys.masterKeys.indexOf(other)] = stricter;
        return;
      }
      if (!same && !toldApart(key, other)) {
        key.secret?.dispose();
        throw invalidKey(name, 'another master key in this set has the same kid');
      }
    }
    namesakes.push(key);
    this.keys.masterKeys.push(key);
  }

  /** Takes the key over, also when it throws. */
  addSigningKey(key: SigningKey, name: KeyLabel): void {
    const namesakes = namesakesOf(this.#signersByKid, key);
    for (const [at, other] of namesakes.entries()) {
      if (Buffer.compare(key.publicKey, other.publicKey) === 0) {
        // Of a public half and the whole key, the whole key stays.
        const [kept, dropped] = other.seed !== null || key.seed === null ? [other, key] : [key, other];
        dropped.seed?.dispose();
        const stricter = { ...kept, state: stricterState(key.state, other.state) };
        namesakes[at] = stricter;
        this.keys.signingKeys[this.keys.signingKeys.indexOf(other)] = stricter;
        return;
      }
      if (!toldApart(key, other)) {
        key.seed?.dispose();
        throw invalidKey(name, 'another signing key in this set has the same kid');
      }
    }
    namesakes.push(key);
    this.keys.signingKeys.push(key);
  }

  /** Takes the key over, also when it throws. */
  addRecipientKey(key: RecipientKey, name: KeyLabel): void {
    // Found by what it is, not by its kid: the same key under two names is one key.
    const at = this.keys.recipientKeys.findIndex(({ thumbprint }) => thumbprint === key.thumbprint);
    if (at >= 0) {
      const other = this.keys.recipientKeys[at]!;
      const [kept, dropped] = other.secret !== null || key.secret === null ? [other, key] : [key, other];
      dropped.secret?.dispose();
      this.keys.recipientKeys[at] = { ...kept, state: stricterState(key.state, other.state) };
      return;
    }
    const namesakes = namesakesOf(this.#recipientsByKid, key);
    if (namesakes.some((other) => !toldApart(key, other))) {
      key.secret?.dispose();
      throw invalidKey(name, 'another recipient key in this set has the same kid');
    }
    namesakes.push(key);
    this.keys.recipientKeys.push(key);
  }

  #sameMaterial({ secret: a }: MasterKey, { secret: b }: MasterKey): boolean {
    return a !== null && b !== null && a.byteLength === b.byteLength && this.#engine.secretsEqual(a, b);
  }

  dispose(): void {
    disposeKeys(this.keys);
  }
}

/** The keys so far under the same kid; keys without one have no namesakes. */
function namesakesOf<Key extends KeyName>(byKid: Map<string, Key[]>, { kid }: Key): Key[] {
  if (kid === null) return [];
  let keys = byKid.get(kid);
  if (keys === undefined) byKid.set(kid, (keys = []));
  return keys;
}
