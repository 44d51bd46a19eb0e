import { randomUUID } from 'node:crypto';
import type { Engine } from '../engine/types.js';
import type { HeaderPadding } from '../format/canonical.js';
import type { PolicyTexts } from '../format/crypto-metadata.js';
import { openKeyRing } from '../keys/load.js';
import { lookUpSigningKey, lookUpWritingMasterKey } from '../keys/lookup.js';
import { signMessage } from '../keys/sign.js';
import { wrapDeks } from '../keys/wrap.js';
import { checkPolicy } from '../policy/evaluate.js';
import type { Encryption, Model } from '../model/model.js';
import type { Twin } from '../twin.js';
import { HeaderTemplate } from './header.js';
import type { RewrapTo } from './options.js';

/** The new keys, at hand. One is used for all files of a model that have one algorithm. */
export interface NewKeys {
  /** A new header for an open file. */
  rewrap(model: EncryptedModel, padding: HeaderPadding): Twin<Uint8Array>;
  dispose(): void;
}

export type EncryptedModel = Model & { encryption: Encryption };

/** @throws {CryptoTensorsError} `InvalidKey`, `FileError`, `PolicyError`; later `KeyNotFound`, and what signing and wrapping throw */
export function* openNewKeys(to: RewrapTo, engine: Engine, signal: AbortSignal | undefined): Twin<NewKeys> {
  const local = to.policy?.local;
  if (local !== undefined) yield* checkPolicy(local, 'options.to.policy.local', { signal });
  const ring = yield* openKeyRing(to.keys, engine, 'options.to.keys');
  const lookUp = { engine, signal };
  // All headers that are made here belong together, and are told from older ones by this.
  const set = randomUUID();
  return {
    *rewrap(model, padding) {
      const { keys, policy, identity } = model.encryption;
      const { algorithm } = keys.enc;
      const master = yield* lookUpWritingMasterKey(ring, { kid: to.encKid, algorithm }, lookUp);
      const signer = yield* lookUpSigningKey(ring, to.signKid, lookUp);
      const deks = model.table.exportDeks();
      let rows: Uint8Array;
      try {
        rows = yield* wrapDeks(master, algorithm, deks, lookUp);
      } finally {
        deks.dispose();
      }
      return yield* new HeaderTemplate(model.header, keys).build({
        enc: master,
        sign: signer,
        rows,
        policy: newPolicy(policy, to.policy),
        identity: identity && { ...identity, set, generation: identity.generation + 1 },
        signMessage: (message) => signMessage(signer, message, lookUp),
        padding,
      });
    },
    dispose: () => ring.dispose(),
  };
}

function newPolicy(old: PolicyTexts, { local = old.local, remote = old.remote }: RewrapTo['policy'] = {}): PolicyTexts {
  return { local, remote };
}
