/** Whether the files that are opened together are one model, by what their verified headers say (`__model__`, docs/format.md). */
import { basename } from 'node:path';
import { quote } from '../errors.js';
import type { Header } from '../format/header.js';
import { encodeModelIdentity, parseModelIdentity } from '../format/model-identity.js';
import type { ModelIdentity } from '../format/model-identity.js';
import type { Engine } from '../engine/types.js';
import { tensorNamesDigest } from '../model/digests.js';
import { mismatch } from '../model/mismatch.js';
import type { Model } from '../model/model.js';
import type { ShardIndex } from '../model/shards.js';

/**
 * What a verified header says of the model that its file belongs to; null where it says nothing.
 *
 * @throws {CryptoTensorsError} `InvalidCryptoMetadata`, `UnsupportedVersion`; `ModelMismatch` where the file holds other tensors than
 * its model says
 */
export function readIdentity(engine: Engine, header: Header, path: string | undefined): ModelIdentity | null {
  const identity = parseModelIdentity(header);
  const expected = identity?.weights.get(identity.file);
  if (identity === null || expected === undefined) return identity;
  const found = tensorNamesDigest(engine, header);
  if (found === expected) return identity;
  throw mismatch(path, `does not hold the tensors that its model says are in ${quote(identity.file)}`, {
    expected: `names with SHA-256 ${expected}`,
    found: `SHA-256 ${found}`,
  });
}

/**
 * The shards of an index are the weights of one model, all of them and each under its name; or none of them says to which model it
 * belongs.
 *
 * @throws {CryptoTensorsError} `ModelMismatch`, which names the file that is to blame
 */
export function checkModelFiles(models: readonly Model[], shards: ShardIndex): void {
  const first = models.find(({ encryption }) => (encryption?.identity ?? null) !== null);
  if (first === undefined) return;
  const checkMember = membersLike(first);
  const present = new Set<string>();
  for (const model of models) {
    const name = basename(model.path!);
    checkMember(model, name);
    present.add(name);
  }
  for (const name of first.encryption!.identity!.weights.keys()) {
    if (present.has(name)) continue;
    throw mismatch(
      shards.path,
      `leaves out ${quote(name)}, a file of the model: its other files say that it belongs to them`,
      { expected: quote(name), found: 'no such file in the index' },
    );
  }
}

/**
 * A check whether another file is of the same model: signed by the same key, for this place in the model, with headers that were made
 * together.
 *
 * @param first a file of the model
 * @returns throws `ModelMismatch` for a file that is not, by the name that it has in the model
 */
export function membersLike(first: Model): (file: Model, name: string) => void {
  const { identity, signerKey } = first.encryption!;
  const beside = quote(basename(first.path!));
  const alike = manifestText(identity!);
  return ({ path, encryption }, name) => {
    const own = encryption?.identity ?? null;
    if (own === null) throw mismatch(path, `does not say to which model it belongs, but ${beside} beside it does`);
    if (own.file !== name) {
      throw mismatch(
        path,
        `is signed as the file ${quote(own.file)} of its model: one file was put in the place of another`,
        { expected: quote(name), found: quote(own.file) },
      );
    }
    if (encryption!.signerKey !== signerKey) throw mismatch(path, `was signed by another key than ${beside}`);
    if (manifestText(own) !== alike) throw mismatch(path, describeDifference(own, identity!, beside));
  };
}

/** What is the same in all files of a model, as text. */
function manifestText(identity: ModelIdentity): string {
  return encodeModelIdentity({ ...identity, file: '' });
}

function describeDifference(identity: ModelIdentity, other: ModelIdentity, beside: string): string {
  if (identity.id !== other.id) return `belongs to the model ${identity.id}, but ${beside} to ${other.id}`;
  if (identity.generation !== other.generation) {
    return `is of generation ${identity.generation} of the model, but ${beside} of generation ${other.generation}: files of two versions were mixed`;
  }
  if (identity.set !== other.set)
    return `was made at another time than ${beside}: files of two versions of the model were mixed`;
  return `lists other files of the model than ${beside}`;
}
