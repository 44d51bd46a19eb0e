/** The files of a model that are stored encrypted beside its weights. */
import { dirname, join } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import { sealedName } from '../format/model-identity.js';
import type { Engine } from '../engine/types.js';
import { isGone, mismatch, missingFile } from '../model/mismatch.js';
import { closeModel } from '../model/model.js';
import { identityOf } from '../model/model-parts.js';
import type { Model } from '../model/model.js';
import { SEALED_TENSOR } from '../model/side-files.js';
import type { Twin } from '../twin.js';
import { option, say } from '../wording.js';
import type { Access } from './access.js';
import type { DetachedInput } from './detached.js';
import { membersLike } from './model-files.js';
import { openStored } from './open-stored.js';

/**
 * Opens the sealed files that a verified model lists, each signed by the model's own signer as a file of just this model.
 *
 * @param weights a file of the model
 * @param weightsPath of the model's file or index, in whose folder they are
 * @throws {CryptoTensorsError} `ModelMismatch`; `InvalidOption` with a detached header, which is for one file
 */
export function* openSealedFiles(
  weights: Model,
  weightsPath: string,
  engine: Engine,
  access: Access,
  detached: DetachedInput | undefined,
): Twin<Model[]> {
  const identity = identityOf({ models: [weights] });
  if (identity === null || identity.sealed.length === 0) return [];
  if (detached !== undefined) throw headerForOne(weightsPath, detached);
  // What binds them is the model's set, which is drawn anew each time: no pin of theirs says more.
  const unpinned = { ...access, pins: undefined };
  const folder = dirname(weightsPath);
  const checkMember = membersLike(weights);
  const opened: Model[] = [];
  try {
    for (const path of identity.sealed) {
      const name = sealedName(path);
      const model = yield* openListed(join(folder, name), engine, unpinned);
      opened.push(model);
      checkMember(model, name);
      checkSealed(model);
    }
    return opened;
  } catch (error) {
    for (const model of opened) closeModel(model);
    throw error;
  }
}

function* openListed(path: string, engine: Engine, access: Access): Twin<Model> {
  try {
    return yield* openStored(path, engine, access);
  } catch (error) {
    throw isGone(error, path) ? missingFile(path, 'a sealed file') : error;
  }
}

function checkSealed({ header, path }: Model): void {
  if (
    header.count !== 1 ||
    header.names[0] !== SEALED_TENSOR ||
    header.dtype(0) !== 'U8' ||
    header.shape(0).length !== 1
  ) {
    throw mismatch(path, `is no sealed file: it must hold one tensor ${quote(SEALED_TENSOR)}, of bytes`);
  }
}

function headerForOne(path: string, { kind }: DetachedInput): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidOption',
    say`${option(kind)} is for a single file, but the model has sealed files beside ${quote(path)}: open that file by itself`,
    { path },
  );
}
