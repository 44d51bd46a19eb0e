import { CryptoTensorsError, quote } from '../errors.js';
import { getEngine } from '../engine/load.js';
import type { PolicyAction } from '../policy/input.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { createAccess } from './access.js';
import { auditOf, audited } from './audit.js';
import type { Place } from './audit.js';
import type { DetachedInput } from './detached.js';
import { resolveInput } from './input.js';
import type { OpenInput } from './input.js';
import { closeModel } from './model.js';
import type { Model } from './model.js';
import { openShards } from './open-shards.js';
import { openStored } from './open-stored.js';
import { checkOpenOptions } from './options.js';
import type { OpenOptions } from './options.js';
import { checkAllPins, checkPinCount } from './pin.js';
import { SafeFile } from './safe-file.js';
import { indexShards, isShardIndex, readShardIndex } from './shards.js';
import type { ShardIndex } from './shards.js';
import { indexFile } from './tensor-index.js';

/**
 * Opens a model: a safetensors or CryptoTensors file, a sharded model by its `*.safetensors.index.json`, or bytes in memory.
 * The header is read and verified, the file's policy asked and its data keys unwrapped; no tensor byte is read yet.
 *
 * ```ts
 * await using model = await safeOpen('model.ct.safetensors', { keys: 'keys.json' });
 * const weight = await model.getTensor('encoder.0.weight');
 * ```
 *
 * @throws {CryptoTensorsError} of the structure: `HeaderTooSmall`, `HeaderTooLarge`, `InvalidHeaderLength`, `InvalidHeader`,
 * `InvalidHeaderDeserialization`, `InvalidOffset`, `TensorInvalidInfo`, `ValidationOverflow`, `MisalignedSlice`,
 * `MetadataIncompleteBuffer`; of the encryption: `InvalidCryptoMetadata`, `UnsupportedVersion`, `UnsupportedAlgorithm`,
 * `BadSignature`, `UntrustedSigner`, `PinMismatch`, `KeyNotFound`, `KeyRevoked`, `InvalidKey`, `BadTag` (a data key does not unwrap),
 * `PolicyDenied`, `PolicyError`; of a licence: `InvalidLicense`, `LicenseMismatch`, `LicenseExpired`, `LicenseNotYetValid`; `NotEncrypted` for a plain file although keys or trust are configured; `FileError` with `systemCode`;
 * `FileChanged`; `InvalidIndex`; `InvalidOption`; `NativeUnavailable`
 * @throws {TypeError} for an argument or option of the wrong type or an unknown option
 */
export async function safeOpen(input: OpenInput, options: OpenOptions = {}): Promise<SafeFile> {
  checkOpenOptions(options, 'safeOpen');
  return runAsync(open(input, options));
}

/** `safeOpen`, blocking the calling thread. */
export function safeOpenSync(input: OpenInput, options: OpenOptions = {}): SafeFile {
  checkOpenOptions(options, 'safeOpenSync');
  return runSync(open(input, options));
}

/** The procedure behind both; the caller has checked the options. @param action what the file's policy is asked about */
export function* open(input: OpenInput, options: OpenOptions, action: PolicyAction = 'open'): Twin<SafeFile> {
  const target = resolveInput(input);
  const place: Place = { path: typeof target === 'string' ? target : undefined, files: [] };
  return yield* audited(auditOf(options), place, openTarget(target, options, place, action));
}

function* openTarget(
  target: string | Uint8Array,
  options: OpenOptions,
  place: Place,
  action: PolicyAction,
): Twin<SafeFile> {
  const detached = detachedInput(options);
  const engine = getEngine();
  const access = yield* createAccess(options, engine, action);
  const { audit, pins } = access;
  const models: Model[] = [];
  try {
    let shards: ShardIndex | null = null;
    if (typeof target === 'string' && isShardIndex(target)) {
      if (detached !== undefined) throw headerForShards(target, detached);
      shards = yield* readShardIndex(target, engine);
      place.files = shards.shardPaths;
      checkPinCount(pins, shards.shardPaths.length, target);
      models.push(...(yield* openShards(shards, engine, access)));
    } else {
      checkPinCount(pins, 1, place.path);
      models.push(yield* openStored(target, engine, access, detached));
    }
    checkAllPins(
      pins,
      engine,
      models.map(({ header }) => header),
      place.path,
    );
    const index = shards === null ? indexFile(models[0]!) : indexShards(models, shards);
    for (const model of models) audit?.opened(model);
    return new SafeFile({ engine, models, index, shards, audit }, options);
  } catch (error) {
    for (const model of models) closeModel(model);
    throw error;
  } finally {
    access.dispose();
  }
}

function detachedInput({ header, license }: OpenOptions): DetachedInput | undefined {
  if (license !== undefined) return { input: resolveInput(license, 'options.license'), kind: 'license' };
  return header === undefined ? undefined : { input: resolveInput(header, 'options.header'), kind: 'header' };
}

function headerForShards(path: string, { kind }: DetachedInput): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidOption',
    `options.${kind} is for a single file, but ${quote(path)} is the index of a sharded model: open its shards one by one, each with its own ${kind}`,
    { path },
  );
}
