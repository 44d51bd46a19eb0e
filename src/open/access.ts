import type { Engine } from '../engine/types.js';
import type { AeadAlgorithm } from '../format/vocabulary.js';
import { hasKeySources, ringContents } from '../keys/keyring.js';
import type { KeyRing } from '../keys/keyring.js';
import { openKeyRing } from '../keys/load.js';
import { lookUpMasterKeys, lookUpRecipientKey, lookUpVerifyingKeys } from '../keys/lookup.js';
import { openTrust } from '../keys/trust.js';
import type { KeyName, MasterKey, RecipientKey, SigningKey } from '../keys/types.js';
import type { PolicyAction } from '../policy/input.js';
import type { Twin } from '../twin.js';
import { auditOf } from '../model/audit.js';
import type { Audit } from '../model/audit.js';
import { pickOptions } from '../options.js';
import { OPEN_OPTIONS, POLICY_OPTIONS } from './options.js';
import type { OpenOptions, PolicyOptions } from './options.js';
import { parsePins } from '../model/pin.js';
import type { Pins } from '../model/pin.js';

/** Who may say what is true, and which keys are at hand: what the caller configured, for the opening of one model. */
export interface Access {
  /** A plain file is refused. */
  mustBeEncrypted: boolean;
  signal: AbortSignal | undefined;
  /** Trusted keys that may verify a file's signature. @throws KeyNotFound, UntrustedSigner */
  verifyingKeys(name: KeyName): Twin<readonly SigningKey[]>;
  /** Keys that may be the file's master key, to be tried in turn. @throws KeyNotFound */
  masterKeys(query: KeyName & { algorithm: AeadAlgorithm }): Twin<readonly MasterKey[]>;
  /** The key that a licence was issued to. @throws KeyNotFound, KeyRevoked */
  recipientKey(thumbprint: string): Twin<RecipientKey>;
  /** What the file's policy is asked about. */
  action: PolicyAction;
  /** Whom to tell what happens; null: nobody. */
  audit: Audit | null;
  /** What the files must be. */
  pins: Pins;
  /** The options that concern the policy. */
  policy: Pick<OpenOptions, 'encKid' | 'policy' | 'claims'>;
  /** Wipes the keys that were loaded for this opening. */
  dispose(): void;
}

/** What an access is made of. */
type AccessOptions = { [Name in keyof Omit<OpenOptions, 'policy'>]: OpenOptions[Name] | undefined } & {
  policy?: { [Name in keyof PolicyOptions]: PolicyOptions[Name] | undefined } | undefined;
};

/** Loads the keys that the options name. @param action what the file's policy is asked about */
export function* createAccess(given: AccessOptions, engine: Engine, action: PolicyAction = 'open'): Twin<Access> {
  // Those that are made within the library name only what they need.
  const options = pickOptions(given as OpenOptions, OPEN_OPTIONS);
  if (options.policy !== undefined) options.policy = pickOptions(options.policy, POLICY_OPTIONS);
  const ring = yield* openKeyRing(options.keys, engine, 'options.keys');
  let trust: KeyRing;
  try {
    trust = yield* openTrust(options.trust, ring, engine);
  } catch (error) {
    ring.dispose();
    throw error;
  }
  const configured = options.keys !== undefined || options.trust !== undefined || hasKeySources(ring);
  // What `keys` revokes is not trusted, also where a provider says so.
  const revokers = options.trust === undefined ? [] : ringContents(ring).providers;
  const lookUp = { engine, signal: options.signal };
  return {
    mustBeEncrypted: configured && options.allowPlain !== true,
    signal: options.signal,
    verifyingKeys: (name) => lookUpVerifyingKeys(trust, { ...name, override: options.signKid }, lookUp, revokers),
    masterKeys: (query) => lookUpMasterKeys(ring, { ...query, override: options.encKid }, lookUp),
    recipientKey: (thumbprint) => lookUpRecipientKey(ring, thumbprint, lookUp),
    action,
    audit: auditOf(options),
    pins: parsePins(options.pin),
    policy: options,
    dispose() {
      ring.dispose();
      trust.dispose();
    },
  };
}
