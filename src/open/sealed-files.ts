/** The files of a model that are stored encrypted beside its weights. */
import { basename, dirname, join } from 'node:path';
import { CryptoTensorsError, quote } from '../errors.js';
import { sealedName } from '../format/model-identity.js';
import type { Engine } from '../engine/types.js';
import { statusOf } from '../files/status.js';
import { closeModel } from '../model/model.js';
import type { Model } from '../model/model.js';
import { SEALED_TENSOR } from '../model/side-files.js';
import type { Twin } from '../twin.js';
import { option, say } from '../wording.js';
import type { Access } from './access.js';
import type { DetachedInput } from './detached.js';
import { describeDifference, manifestText, mismatch } from './model-files.js';
import { openStored } from './open-stored.js';

/**
 * Opens the sealed files that a verified model lists, each signed by the model's own signer as a file of just this model.
 *
 * @param weights a file of the model
 * @param path of the model's file or index, in whose folder they are
 * @throws {CryptoTensorsError} `ModelMismatch`; `InvalidOption` with a detached header, which is for one file
 */
export function* openSealedFiles(
  weights: Model,
  path: string,
  engine: Engine,
  access: Access,
  detached: DetachedInput | undefined,
): Twin<Model[]> {
  const identity = weights.encryption?.identity ?? null;
  if (identity === null || identity.sealed.length === 0) return [];
  if (detached !== undefined) throw headerForOne(path, detached);
  // What binds them is the model's set, which is drawn anew each time: no pin of theirs says more.
  const unpinned = { ...access, pins: undefined };
  const opened: Model[] = [];
  try {
    for (const name of identity.sealed) {
      const file = join(dirname(path), sealedName(name));
      if ((yield* statusOf(file)) === null) {
        throw mismatch(file, 'is missing, but the model says that it belongs to it', {
          expected: 'a sealed file',
          found: 'nothing',
        });
      }
      const model = yield* openStored(file, engine, unpinned);
      opened.push(model);
      checkSealed(model, sealedName(name), file, weights);
    }
    return opened;
  } catch (error) {
    for (const model of opened) closeModel(model);
    throw error;
  }
}

function checkSealed({ encryption, header }: Model, name: string, path: string, weights: Model): void {
  const own = weights.encryption!;
  const identity = encryption?.identity ?? null;
  if (identity === null) throw mismatch(path, 'does not say to which model it belongs');
  if (encryption!.signerKey !== own.signerKey) {
    throw mismatch(path, `was signed by another key than ${quote(basename(weights.path!))}`);
  }
  if (identity.file !== name) {
    throw mismatch(
      path,
      `is signed as the file ${quote(identity.file)} of its model: one file was put in the place of another`,
      {
        expected: quote(name),
        found: quote(identity.file),
      },
    );
  }
  if (manifestText(identity) !== manifestText(own.identity!)) {
    throw mismatch(path, describeDifference(identity, own.identity!, weights.path!));
  }
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
