import { CryptoTensorsError } from '../errors.js';
import type { Header } from '../format/header.js';
import type { PolicyTexts } from '../format/crypto-metadata.js';
import type { AeadAlgorithm, Engine } from '../engine/types.js';
import { hasKeySources } from '../keys/keyring.js';
import type { KeyRing } from '../keys/keyring.js';
import { openKeyRing } from '../keys/load.js';
import { lookUpMasterKey, lookUpVerifyingKeys } from '../keys/lookup.js';
import { openTrust } from '../keys/trust.js';
import type { KeyName, MasterKey, SigningKey } from '../keys/types.js';
import { evaluatePolicy, evaluatePolicySync } from '../policy/evaluate.js';
import { buildPolicyInput } from '../policy/input.js';
import type { PolicyInput } from '../policy/input.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { userMetadata } from './metadata.js';
import type { OpenOptions } from './options.js';

/** Who may say what is true, and which keys are at hand: what the caller configured, for the opening of one model. */
export interface Access {
  /** A plain file is refused. */
  mustBeEncrypted: boolean;
  signal: AbortSignal | undefined;
  /** Trusted keys that may verify a file's signature. @throws KeyNotFound, UntrustedSigner */
  verifyingKeys(name: KeyName): Twin<readonly SigningKey[]>;
  /** @throws KeyNotFound */
  masterKey(query: KeyName & { algorithm: AeadAlgorithm }): Twin<MasterKey>;
  /** The options that concern the policy. */
  policy: Pick<OpenOptions, 'policy' | 'claims'>;
  /** Wipes the keys that were loaded for this opening. */
  dispose(): void;
}

/** Loads the keys that the options name. */
export function* createAccess(options: OpenOptions, engine: Engine): Twin<Access> {
  const ring = yield* openKeyRing(options.keys, engine);
  let trust: KeyRing;
  try {
    trust = yield* openTrust(options.trust, ring, engine);
  } catch (error) {
    ring.dispose();
    throw error;
  }
  const configured = options.keys !== undefined || options.trust !== undefined || hasKeySources(ring);
  const lookUp = { engine, signal: options.signal };
  return {
    mustBeEncrypted: configured && options.allowPlain !== true,
    signal: options.signal,
    verifyingKeys: (name) => lookUpVerifyingKeys(trust, { ...name, override: options.signKid }, lookUp),
    masterKey: (query) => lookUpMasterKey(ring, { ...query, override: options.encKid }, lookUp),
    policy: options,
    dispose() {
      ring.dispose();
      trust.dispose();
    },
  };
}

/**
 * Asks the policy of a file whose signature has been verified.
 *
 * @throws PolicyDenied, PolicyError
 */
export function* runPolicy(policy: PolicyTexts, header: Header, signer: string | null, access: Access): Twin<void> {
  const { policy: options, claims } = access.policy;
  const input = buildPolicyInput({
    action: 'open',
    claims: claims ?? {},
    env: options?.env,
    now: options?.now,
    model: { metadata: userMetadata(header) ?? {}, tensors: header.count, signer },
  });
  if (options?.evaluate !== undefined) {
    yield* askOther(options.evaluate, policy.local, input);
    return;
  }
  const request = { input, deadlineMs: options?.deadlineMs, signal: access.signal };
  yield* step(
    () => evaluatePolicySync(policy.local, request),
    () => evaluatePolicy(policy.local, request),
  );
}

/** An engine of the caller's: it opens on exactly `true`, and whatever it throws is a refusal. */
function* askOther(
  evaluate: NonNullable<NonNullable<OpenOptions['policy']>['evaluate']>,
  policy: string,
  input: PolicyInput,
): Twin<void> {
  let answer: unknown;
  try {
    answer = yield* step<unknown>(
      () => {
        const result: unknown = evaluate(policy, input);
        if (result instanceof Promise) {
          throw new TypeError('options.policy.evaluate returned a promise; the Sync forms need an answer');
        }
        return result;
      },
      async () => evaluate(policy, input),
    );
  } catch (cause) {
    throw new CryptoTensorsError('PolicyError', `options.policy.evaluate failed: ${(cause as Error).message}`, {
      cause,
    });
  }
  if (answer !== true) {
    throw new CryptoTensorsError(
      'PolicyDenied',
      'options.policy.evaluate did not answer true, so the file stays closed',
    );
  }
}
