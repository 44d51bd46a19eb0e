import type { PolicyAction } from '../policy/input.js';
import { auditOf, audited } from '../model/audit.js';
import type { AuditScope } from '../model/audit.js';
import { getEngine } from '../engine/load.js';
import { ownBytes } from '../engine/own.js';
import { resolveModel } from '../model/input.js';
import type { OpenInput } from '../model/input.js';
import { readBlob } from '../model/source.js';
import { openFiles } from '../open/open-files.js';
import type { OpenedFiles } from '../open/open-files.js';
import { ownOpenOptions } from '../open/options.js';
import type { OpenOptions } from '../open/options.js';
import { checkBoolean, withoutPrototype } from '../options.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import { SafeFile } from './safe-file.js';
import { MAKER } from '../maker.js';

/** Options of what reads bytes as well as files. */
export interface InputOptions {
  /**
   * Hand bytes over instead of having them copied: an `ArrayBuffer` is moved to the library, is empty from then on with all views of
   * it, and is never given back. What cannot be moved is copied all the same. Default: false.
   */
  transfer?: boolean;
}

export const INPUT_OPTIONS: readonly (keyof InputOptions)[] = ['transfer'];

export interface SafeOpenOptions extends OpenOptions, InputOptions {}

function checkInputOptions(options: InputOptions): void {
  checkBoolean(options.transfer, 'options.transfer');
}

/**
 * Opens a model: a safetensors or CryptoTensors file, a sharded model by its `*.safetensors.index.json`, or bytes in memory.
 * Bytes are copied, unless they are in a `SharedArrayBuffer`, which is read where it is, or handed over (`transfer`).
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
 * `FileChanged`; `InvalidIndex`; `InvalidOption`; `Detached` for bytes that were transferred away; `NativeUnavailable`
 * @throws {TypeError} for an argument or option of the wrong type or an unknown option
 */
export async function safeOpen(input: OpenInput, options: SafeOpenOptions = {}): Promise<SafeFile> {
  const own = ownOpenOptions<SafeOpenOptions>(options, 'safeOpen', INPUT_OPTIONS);
  return runAsync(open(input, own, { action: undefined, lasting: true }));
}

/** `safeOpen`, blocking the calling thread. */
export function safeOpenSync(input: OpenInput, options: SafeOpenOptions = {}): SafeFile {
  const own = ownOpenOptions<SafeOpenOptions>(options, 'safeOpenSync', INPUT_OPTIONS);
  return runSync(open(input, own, { action: undefined, lasting: true }));
}

/** What is opened, and for how long. */
export interface Opening {
  /** What the file's policy is asked about. Default: `open`. */
  action?: PolicyAction | undefined;
  /** Whether the file may be read after the call that opens it. */
  lasting: boolean;
}

/** The procedure behind both. @param options as `ownOpenOptions` returns them */
export function* open(input: OpenInput, options: SafeOpenOptions, opening: Opening): Twin<SafeFile> {
  checkInputOptions(options);
  const target = resolveModel(input);
  const scope: AuditScope = { path: typeof target === 'string' ? target : undefined, files: [] };
  return new SafeFile(
    yield* audited(auditOf(options), scope, openOwned(target, options, scope, opening)),
    options,
    MAKER,
  );
}

function* openOwned(
  target: ReturnType<typeof resolveModel>,
  options: SafeOpenOptions,
  scope: AuditScope,
  opening: Opening,
): Twin<OpenedFiles> {
  const { action = 'open', lasting } = withoutPrototype(opening);
  let source = typeof target === 'string' ? target : yield* readBlob(target, 'input');
  if (typeof source !== 'string') {
    source = yield* ownBytes(source, getEngine(), { name: 'input', transfer: options.transfer === true, lasting });
  }
  return yield* openFiles(source, options, scope, action);
}
