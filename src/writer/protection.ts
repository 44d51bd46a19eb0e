import { CryptoTensorsError } from '../errors.js';
import { DEFAULT_CHUNK_SIZE } from '../format/crypto-metadata.js';
import type { CryptoKeysToWrite, PolicyTexts } from '../format/crypto-metadata.js';
import { AEAD_KEY_BYTES } from '../format/vocabulary.js';
import type { Engine, SealRequest, Secret } from '../engine/types.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../format/vocabulary.js';
import { algorithmOf } from '../keys/algorithm.js';
import { openKeyRing } from '../keys/load.js';
import { lookUpSigningKey, lookUpWritingMasterKey } from '../keys/lookup.js';
import type { LookUpOptions } from '../keys/providers/ask.js';
import { signMessage } from '../keys/sign.js';
import type { MasterKey } from '../keys/types.js';
import { refuseSync, wrapDeks } from '../keys/wrap.js';
import { DEFAULT_POLICY, checkPolicy } from '../policy/evaluate.js';
import type { Twin } from '../twin.js';
import type { ProtectOptions, WorkOptions } from './options.js';
import { option, say } from '../wording.js';
import { hasOwn } from '../options.js';

/** How a file is to be protected, with the keys at hand. */
export interface Protection {
  encryption: NonNullable<SealRequest['encryption']>;
  integrity: { algorithm: DigestAlgorithm; chunkSize: number } | null;
  cryptoKeys: CryptoKeysToWrite;
  /**
   * Rows of DEKs that were wrapped under `encryption.master`, wrapped under the file's master key instead. Null where the two are
   * the same; otherwise that key stays where it is, and the file is sealed under one that lives no longer than the work.
   */
  moveDeks: ((rows: Uint8Array) => Twin<Uint8Array>) | null;
  policy: PolicyTexts;
  /** Ed25519 over the canonical header text. */
  sign(message: Uint8Array): Twin<Uint8Array>;
  dispose(): void;
}

/**
 * Loads the keys to write with; null if the options name none: the file is to be plain.
 *
 * @throws {CryptoTensorsError} `KeyNotFound`, `InvalidKey`, `FileError`; `InvalidOption` for protection without keys;
 * `PolicyError` for a local policy that could never open the file
 */
export function* createProtection(
  options: Partial<ProtectOptions> & WorkOptions,
  engine: Engine,
): Twin<Protection | null> {
  if (options.keys !== undefined) return yield* loadProtection(options, engine);
  refuseWithoutKeys(options);
  return null;
}

/**
 * The same for a file that is to be encrypted in any case: without `keys` the registered providers and `CRYPTOTENSOR_KEYS` serve.
 */
export function* loadProtection(options: Partial<ProtectOptions> & WorkOptions, engine: Engine): Twin<Protection> {
  const local = options.policy?.local ?? DEFAULT_POLICY;
  yield* checkPolicy(local, 'options.policy.local', { signal: options.signal });
  const ring = yield* openKeyRing(options.keys, engine, 'options.keys');
  try {
    const lookUp = { engine, signal: options.signal };
    const query = { kid: options.encKid, algorithm: options.algorithm };
    const master = yield* lookUpWritingMasterKey(ring, query, lookUp);
    const signer = yield* lookUpSigningKey(ring, options.signKid, lookUp);
    const algorithm = options.algorithm ?? algorithmOf(master);
    const version = options.version ?? 2;
    const chunkSize = version === 1 ? 0 : (options.chunkSize ?? DEFAULT_CHUNK_SIZE);
    yield* refuseSync(master);
    const sealing = master.secret ?? engine.randomSecret(AEAD_KEY_BYTES[algorithm]);
    return {
      encryption: { algorithm, version, chunkSize, master: sealing },
      moveDeks: master.secret === null ? (rows) => moveRows(rows, sealing, master, algorithm, lookUp) : null,
      integrity:
        options.integrity === false
          ? null
          : { algorithm: options.integrity ?? 'sha256', chunkSize: options.chunkSize ?? DEFAULT_CHUNK_SIZE },
      cryptoKeys: {
        version,
        chunkSize,
        enc: { algorithm, kid: master.kid, jku: master.jku },
        sign: { kid: signer.kid, jku: signer.jku },
      },
      policy: { local, remote: options.policy?.remote ?? DEFAULT_POLICY },
      sign: (message) => signMessage(signer, message, lookUp),
      dispose() {
        if (master.secret === null) sealing.dispose();
        ring.dispose();
      },
    };
  } catch (error) {
    ring.dispose();
    throw error;
  }
}

function* moveRows(
  rows: Uint8Array,
  sealing: Secret,
  master: MasterKey,
  algorithm: AeadAlgorithm,
  lookUp: LookUpOptions,
): Twin<Uint8Array> {
  const unwrapped = lookUp.engine.unwrapDeks(algorithm, sealing, rows);
  if (hasOwn(unwrapped, 'row')) throw new Error(`the data key in row ${unwrapped.row}, sealed here, does not unwrap`);
  try {
    return yield* wrapDeks(master, algorithm, unwrapped.deks, lookUp);
  } finally {
    unwrapped.deks.dispose();
  }
}

/** Options that only mean something for an encrypted file: a plain one must not be written by an oversight. */
function refuseWithoutKeys(options: Partial<ProtectOptions>): void {
  for (const name of [
    'encKid',
    'signKid',
    'algorithm',
    'version',
    'chunkSize',
    'tensors',
    'policy',
    'integrity',
  ] as const) {
    if (options[name] !== undefined) {
      throw new CryptoTensorsError(
        'InvalidOption',
        say`${option(name)} needs ${option('keys')}: without keys the file would be plain`,
      );
    }
  }
}
