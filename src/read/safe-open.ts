import type { PolicyAction } from '../policy/input.js';
import { auditOf, audited } from '../model/audit.js';
import type { Place } from '../model/audit.js';
import { resolveInput } from '../model/input.js';
import type { OpenInput } from '../model/input.js';
import { openFiles } from '../open/open-files.js';
import { checkOpenOptions } from '../open/options.js';
import type { OpenOptions } from '../open/options.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { SafeFile } from './safe-file.js';

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
  return new SafeFile(yield* audited(auditOf(options), place, openFiles(target, options, place, action)), options);
}
