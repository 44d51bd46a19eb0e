/** Whether the files that are opened together are one model, by what their verified headers say (`__model__`, docs/format.md). */
import { basename } from 'node:path';
import { CryptoTensorsError, quote, quoteFile } from '../errors.js';
import type { Header } from '../format/header.js';
import { encodeModelIdentity, parseModelIdentity, tensorNamesText } from '../format/model-identity.js';
import type { ModelIdentity } from '../format/model-identity.js';
import type { Engine } from '../engine/types.js';
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
  const found = Buffer.from(engine.digest('sha256', tensorNamesText(header.names))).toString('hex');
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
  const files = models.map(({ path, encryption }) => ({
    path: path!,
    identity: encryption?.identity ?? null,
    signer: encryption?.signerKey,
  }));
  const first = files.find(({ identity }) => identity !== null);
  if (first === undefined) return;
  const alike = manifestText(first.identity!);
  for (const { path, identity, signer } of files) {
    const name = basename(path);
    if (identity === null) {
      throw mismatch(path, `does not say to which model it belongs, but ${quote(basename(first.path))} beside it does`);
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
    if (signer !== first.signer) throw mismatch(path, `was signed by another key than ${quote(basename(first.path))}`);
    if (manifestText(identity) !== alike)
      throw mismatch(path, describeDifference(identity, first.identity!, first.path));
  }
  const present = new Set(files.map(({ path }) => basename(path)));
  for (const name of first.identity!.weights.keys()) {
    if (!present.has(name)) {
      throw mismatch(
        shards.path,
        `leaves out ${quote(name)}, a file of the model: its other files say that it belongs to them`,
        {
          expected: quote(name),
          found: 'no such file in the index',
        },
      );
    }
  }
}

/** What is the same in all files of a model, as text. */
export function manifestText(identity: ModelIdentity): string {
  return encodeModelIdentity({ ...identity, file: '' });
}

export function describeDifference(identity: ModelIdentity, other: ModelIdentity, otherPath: string): string {
  const beside = quote(basename(otherPath));
  if (identity.id !== other.id) return `belongs to the model ${identity.id}, but ${beside} to ${other.id}`;
  if (identity.generation !== other.generation) {
    return `is of generation ${identity.generation} of the model, but ${beside} of generation ${other.generation}: files of two versions were mixed`;
  }
  if (identity.set !== other.set)
    return `was made at another time than ${beside}: files of two versions of the model were mixed`;
  return `lists other files of the model than ${beside}`;
}

export function mismatch(
  path: string | undefined,
  problem: string,
  found: { expected?: string; found?: string } = {},
): CryptoTensorsError {
  return new CryptoTensorsError('ModelMismatch', `${quoteFile(path)} ${problem}`, {
    ...found,
    ...(path === undefined ? {} : { path }),
  });
}
