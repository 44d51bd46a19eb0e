/** What is to be encrypted: the files of a plain model, looked at before anything is written. */
import { basename } from 'node:path';
import { CryptoTensorsError, quote, quotePath } from '../errors.js';
import type { Header } from '../format/header.js';
import type { Engine } from '../engine/types.js';
import { walkFolder } from '../files/walk.js';
import type { FoundFile } from '../files/walk.js';
import { tensorNamesDigest } from '../model/digests.js';
import { findModel } from '../model/folder.js';
import { isShardIndex, parseShardIndex, readIndexFile } from '../model/shards.js';
import { digestOfFile } from '../model/side-files.js';
import { readHeader, withSource } from '../model/source.js';
import type { Twin } from '../twin.js';
import { refuseEncrypted } from './encrypt-file.js';
import { chooseSideFiles } from './side-file-choice.js';

/** A file of tensors. */
export interface WeightsFile {
  /** As the model calls it. */
  name: string;
  path: string;
  /** SHA-256 of its tensors' names. */
  digest: string;
  tensors: number;
  byteLength: number;
  headerBytes: number;
}

/** A plain model, ready to be encrypted. */
export interface SurveyedModel {
  /** Whether it was named by its folder or its index: then it is written as a folder. */
  isWhole: boolean;
  weights: readonly WeightsFile[];
  /** The shard index as it stands; null for a model of one file. */
  index: { name: string; bytes: Uint8Array } | null;
  sealed: readonly FoundFile[];
  plain: readonly (FoundFile & { digest: string })[];
  /** What stays behind, and why. */
  left: readonly { name: string; reason: string }[];
}

/**
 * Finds the files of a plain model and reads their headers.
 *
 * @param source a file, an index, or a folder
 * @param visit is shown each header
 * @throws {CryptoTensorsError} what opening plain files throws; `InvalidIndex`; `InvalidOption` for what is encrypted already
 */
export function* surveyModel(
  source: string,
  { weights, files }: { weights?: string | undefined; files?: unknown },
  engine: Engine,
  visit: (header: Header) => void,
): Twin<SurveyedModel> {
  const { path, isWhole } = yield* findModel(source, weights);
  const index = isShardIndex(path) ? { name: basename(path), bytes: yield* readIndexFile(path, engine) } : null;
  const shards = index === null ? null : yield* parseShardIndex(path, index.bytes);
  const surveyed: WeightsFile[] = [];
  for (const file of shards?.shardPaths ?? [path]) {
    const { header, byteLength } = yield* readPlainHeader(file, engine);
    visit(header);
    if (shards !== null) checkIndexed(shards, header, file);
    surveyed.push({
      name: basename(file),
      path: file,
      digest: tensorNamesDigest(engine, header),
      tensors: header.count,
      byteLength,
      headerBytes: header.length,
    });
  }
  const indexed = surveyed.reduce((sum, { tensors }) => sum + tensors, 0);
  if (shards !== null && indexed !== shards.weightMap.size) throw missing(shards, indexed);
  const own = new Set([...surveyed.map(({ name }) => name), ...(index === null ? [] : [index.name])]);
  // Who names the index means the shards; who names the folder, all that is in it.
  const beside = path === source ? { files: [], left: [] } : yield* walkFolder(source);
  return { isWhole, weights: surveyed, index, ...(yield* surveySideFiles(beside, own, files, engine)) };
}

function* surveySideFiles(
  { files, left }: { files: readonly FoundFile[]; left: readonly { name: string; reason: string }[] },
  own: ReadonlySet<string>,
  choice: unknown,
  engine: Engine,
): Twin<Pick<SurveyedModel, 'sealed' | 'plain' | 'left'>> {
  const others = files.filter(({ name }) => !own.has(name));
  const fates = chooseSideFiles(
    choice,
    others.map(({ name }) => name),
  );
  const plain: (FoundFile & { digest: string })[] = [];
  for (const file of others) {
    if (fates.get(file.name) === 'plain') plain.push({ ...file, ...(yield* digestOfFile(engine, file.path)) });
  }
  const leftOut = others
    .filter(({ name }) => fates.get(name) === 'leave')
    .map(({ name }) => ({ name, reason: 'you said so' }));
  return { sealed: others.filter(({ name }) => fates.get(name) === 'seal'), plain, left: [...left, ...leftOut] };
}

function* readPlainHeader(path: string, engine: Engine): Twin<{ header: Header; byteLength: number }> {
  return yield* withSource(engine, { path, names: [] }, function* (source) {
    const header = yield* readHeader(engine, source);
    refuseEncrypted(path, header);
    return { header, byteLength: source.size };
  });
}

/** Once it is encrypted, an index that does not fit can be mended by nobody but who signs. */
function checkIndexed(
  { path, weightMap }: { path: string; weightMap: ReadonlyMap<string, string> },
  { names }: Header,
  file: string,
): void {
  const name = basename(file);
  for (const tensor of names) {
    const expected = weightMap.get(tensor);
    if (expected === name) continue;
    const problem =
      expected === undefined
        ? `does not list the tensor ${quote(tensor)} of ${quote(name)}`
        : `says that the tensor ${quote(tensor)} is in ${quote(expected)}, but ${quote(name)} holds one of that name`;
    throw new CryptoTensorsError(
      'InvalidIndex',
      `the shard index ${quotePath(path)} ${problem}: mend it before the model is encrypted`,
      { path },
    );
  }
}

function missing(
  { path, weightMap }: { path: string; weightMap: ReadonlyMap<string, string> },
  found: number,
): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidIndex',
    `the shard index ${quotePath(path)} lists ${weightMap.size} tensors, but its shards hold ${found}: mend it before the model is encrypted`,
    { path, expected: `${weightMap.size} tensors`, found: `${found} tensors` },
  );
}
