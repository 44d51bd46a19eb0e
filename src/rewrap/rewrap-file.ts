import { CryptoTensorsError, quote } from '../errors.js';
import { getEngine } from '../engine/load.js';
import { openDisk } from '../files/disk.js';
import type { Storage } from '../files/storage.js';
import { auditOf, audited } from '../model/audit.js';
import { publicError } from '../model/faults.js';
import { identityOf } from '../model/model-parts.js';
import { findModel } from '../model/folder.js';
import { open } from '../read/safe-open.js';
import type { SafeFile } from '../read/safe-file.js';
import { checkedBytes, verifyModels } from '../report/verify.js';
import { locateModel } from '../recovery/model-location.js';
import { runAsync } from '../twin.js';
import { writeCopies, writeDetached } from './copies.js';
import { bodyBytes } from './body.js';
import { openNewKeys } from './new-keys.js';
import type { EncryptedModel, NewKeys } from './new-keys.js';
import { checkRewrapOptions } from './options.js';
import type { RewrapOptions, RewrappedFile } from './options.js';
import { rewrapInPlace } from './in-place.js';
import { reportingTo } from '../writer/options.js';
import { SuccessiveProgress } from './successive-progress.js';
import { Transaction } from './transaction.js';
import { withoutPrototype } from '../options.js';

/**
 * Gives an encrypted model other keys: the data keys are wrapped under a new master key, and the header is signed anew, with
 * another policy if you like. Not a byte of the data is decrypted or changed.
 *
 * ```ts
 * await rewrapFile('model.ct.safetensors', { keys: 'old.json', to: { keys: 'new.json' } });
 * ```
 *
 * Without `target` the header is overwritten where it stands if the new one fits, which costs nothing but the header; a file
 * without that much room is replaced by a copy. A crash at any moment leaves the old file or the new one, of a sharded model all
 * files old or all new: see docs/rewrap.md.
 *
 * The file is opened as `safeOpen` does it, and its policy is asked with `input.action == "rewrap"`. Whoever holds the keys can
 * overrule it: `policy: { evaluate: () => true }`.
 *
 * @throws {CryptoTensorsError} the same as `safeOpen`; `NotEncrypted` for a plain file; with `verify` `BadTag` and `BadDigest`;
 * `KeyNotFound` or `InvalidKey` for the new keys; `PolicyError` for a new policy that could never open the file; `FileBusy` if another rewrap of it is under way, or was interrupted on another
 * machine; `FileChanged`; `HeaderTooLarge`; `FileError`; `InvalidOption`. Nothing was changed then
 * @throws {AbortError} when `signal` fires before the first byte was changed
 */
export async function rewrapFile(path: string | URL, options: RewrapOptions): Promise<RewrappedFile[]> {
  const checked = checkRewrapOptions(path, options);
  // A folder is asked for its model; the rest knows files.
  const { weights, ...others } = checked.options;
  const rest = withoutPrototype(others);
  const model = await runAsync(findModel(checked.path, weights));
  const disk = openDisk();
  try {
    return await rewrap({ path: model.path, target: checked.target }, rest, disk);
  } finally {
    disk.close();
  }
}

/** @internal The same, on a storage of the caller's. */
export async function rewrap(
  { path, target }: { path: string; target: string | null },
  options: RewrapOptions,
  storage: Storage,
): Promise<RewrappedFile[]> {
  if (target !== null) {
    const write = options.detached === true ? writeDetached : writeCopies;
    return withOpened(path, options, (models, keys, own) => write(models, keys, { path, target, options: own }));
  }
  const location = await locateModel(path);
  const transaction = await Transaction.begin(location, storage);
  try {
    return await withOpened(path, options, (models, keys, own) =>
      rewrapInPlace(models, keys, { location, transaction, options: own }),
    );
  } catch (error) {
    throw await transaction.abandon(error);
  }
}

/**
 * Opens the model with the old keys and loads the new ones.
 *
 * @param work gets the options with an `onProgress` of which all that is done makes one count
 */
async function withOpened<Result>(
  path: string,
  options: RewrapOptions,
  work: (models: readonly EncryptedModel[], keys: NewKeys, options: RewrapOptions) => Promise<Result>,
): Promise<Result> {
  const { signal, threads = 0 } = options;
  const file = await runAsync(open(path, options, { action: 'rewrap', lasting: false }));
  let keys: NewKeys | undefined;
  try {
    refusePart(file, path);
    const models = encryptedModels(file, path);
    const progress = progressOf(models, options);
    const onProgress = progress?.onProgress;
    if (options.verify === true) {
      const audit = auditOf(options);
      await runAsync(audited(audit, file.scope, verifyModels(models, { threads, signal, onProgress, audit })));
    }
    keys = await runAsync(openNewKeys(options.to, getEngine(), signal));
    const result = await work(models, keys, reportingTo(options, onProgress));
    progress?.finish();
    return result;
  } catch (error) {
    throw publicError(error, { path, names: [], signal });
  } finally {
    keys?.dispose();
    file.closeNow();
  }
}

/** Bytes to be verified, and those that are copied where the new headers have no room. */
function progressOf(
  models: readonly EncryptedModel[],
  { onProgress, verify, detached }: RewrapOptions,
): SuccessiveProgress | null {
  if (onProgress === undefined) return null;
  const sum = (bytes: (model: EncryptedModel) => number): number =>
    models.reduce((total, model) => total + bytes(model), 0);
  const total = (verify === true ? sum(checkedBytes) : 0) + (detached === true ? 0 : sum(bodyBytes));
  return new SuccessiveProgress(onProgress, total);
}

/** The files of a model have headers that were made together: one that got another would not fit the others any more. */
function refusePart(file: SafeFile, path: string): void {
  const parts = file.parts();
  const identity = identityOf(parts);
  if (identity === null) return;
  if (identity.sealed.length > 0) {
    throw new CryptoTensorsError(
      'InvalidOption',
      `${quote(path)} belongs to a model with sealed files, which are not given other keys yet: decrypt the model with decryptModel, and encrypt it with encryptModel`,
      { path },
    );
  }
  if (identity.weights.size === 1 || parts.shards !== null) return;
  throw new CryptoTensorsError(
    'InvalidOption',
    `${quote(path)} is one of the ${identity.weights.size} files of a model, which get other keys together: give the path of their index`,
    { path },
  );
}

function encryptedModels(file: SafeFile, path: string): readonly EncryptedModel[] {
  return file.models().map((model) => {
    if (model.encryption !== null) return { ...model, encryption: model.encryption };
    throw new CryptoTensorsError(
      'NotEncrypted',
      `${quote(model.path ?? path)} is neither encrypted nor signed, so there are no keys to change: encrypt it with encryptFile`,
      { path: model.path ?? path },
    );
  });
}
