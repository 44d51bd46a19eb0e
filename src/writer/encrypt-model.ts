import { randomUUID } from 'node:crypto';
import { basename } from 'node:path';
import { CryptoTensorsError } from '../errors.js';
import { UUID, checkModelIdentity } from '../format/model-identity.js';
import type { ModelManifest } from '../format/model-identity.js';
import { getEngine } from '../engine/load.js';
import type { Engine } from '../engine/types.js';
import { checkBoolean, checkString } from '../options.js';
import { resolvePath } from '../path-argument.js';
import { runAsync } from '../twin.js';
import { option, say } from '../wording.js';
import type { EncryptOptions } from './encrypt-file.js';
import { ModelSelection } from './model-selection.js';
import { ModelWriter } from './model-writer.js';
import { ownWriteOptions } from './options.js';
import { loadProtection } from './protection.js';
import type { SideFileChoice } from './side-file-choice.js';
import { surveyModel } from './survey-model.js';
import type { SurveyedModel } from './survey-model.js';

/** Options of `encryptModel`. */
export interface EncryptModelOptions extends EncryptOptions {
  /** Which model, where the folder holds several: the name of its file or index. */
  weights?: string;
  /** Which files beside the weights go along, and how. */
  files?: SideFileChoice;
  /** What the model is called for its life: a UUID. Default: a new one. */
  id?: string;
  /** Say what would be done, and write nothing. Default: false. */
  dryRun?: boolean;
}

/** What became of the files of a model. Names are relative to its folder. */
export interface EncryptedModelFiles {
  id: string;
  /** Files of tensors, encrypted and signed. */
  weights: string[];
  /** The shard index; null for a model of one file. */
  index: string | null;
  /** Files that were stored encrypted; on disk each has `.sealed` behind its name. */
  sealed: string[];
  /** Files that were copied as they are, and are bound by the signature. */
  plain: string[];
  /** What was left behind, and why. */
  left: { name: string; reason: string }[];
}

/**
 * Encrypts and signs a model: the tensors of its files, of a folder also what lies beside them, each file bound to the others by
 * `__model__` (docs/format.md). The source is a safetensors file, a shard index, or a folder that holds one of them; the target is
 * accordingly a file or a folder, which is there when it is complete, or not at all. The source stays as it is.
 *
 * ```ts
 * await encryptModel('models/minilm', 'models/minilm-encrypted', { keys: 'keys.json' });
 * ```
 *
 * In a folder, text (configuration, tokenizer, documentation) and pictures are copied and bound by the signature; all other files, such
 * as ONNX or GGUF, are sealed: stored encrypted. `files` says otherwise. Hidden files and links to folders stay behind.
 *
 * @throws {CryptoTensorsError} the same as `encryptFile`; `InvalidIndex` for an index that does not fit its shards; `FileError` with
 * `EEXIST` where the target is a folder that is there
 * @throws {AbortError} when `signal` fires; nothing is left behind
 */
export async function encryptModel(
  source: string | URL,
  target: string | URL,
  options: EncryptModelOptions = {},
): Promise<EncryptedModelFiles> {
  const [from, to] = [resolvePath(source, 'source'), resolvePath(target, 'target')];
  const own = ownWriteOptions<EncryptModelOptions>(options, 'encryptModel', ['weights', 'files', 'id', 'dryRun']);
  checkString(own.weights, 'options.weights');
  checkBoolean(own.dryRun, 'options.dryRun');
  checkId(own.id);
  return await encrypt(from, to, own, getEngine());
}

function checkId(id: unknown): void {
  checkString(id, 'options.id');
  if (id === undefined || UUID.test(id as string)) return;
  throw new CryptoTensorsError(
    'InvalidOption',
    say`${option('id')} must be a UUID in lower case, as crypto.randomUUID() makes them`,
  );
}

async function encrypt(
  from: string,
  to: string,
  options: EncryptModelOptions,
  engine: Engine,
): Promise<EncryptedModelFiles> {
  const protection = await runAsync(loadProtection(options, engine));
  try {
    const selection = new ModelSelection(options.tensors);
    const found = await runAsync(surveyModel(from, options, engine, (header) => selection.add(header)));
    selection.choose();
    // A file by itself is called what it will be called.
    const survey = found.isWhole ? found : { ...found, weights: [{ ...found.weights[0]!, name: basename(to) }] };
    const manifest = manifestOf(survey, options.id ?? randomUUID());
    const writer = new ModelWriter({ survey, manifest, protection, selection, options, engine });
    await runAsync(writer.check());
    if (options.dryRun !== true) await (found.isWhole ? writer.writeFolder(to) : writer.writeFile(to));
    return describe(survey, manifest);
  } finally {
    protection.dispose();
  }
}

function manifestOf({ weights, sealed, plain }: SurveyedModel, id: string): ModelManifest {
  const manifest: ModelManifest = {
    id,
    set: randomUUID(),
    generation: 1,
    weights: new Map(weights.map(({ name, digest }) => [name, digest])),
    sealed: sealed.map(({ name }) => name),
    plain: new Map(plain.map(({ name, digest }) => [name, digest])),
  };
  try {
    checkModelIdentity({ ...manifest, file: weights[0]!.name });
  } catch (error) {
    throw new CryptoTensorsError('InvalidOption', `the model cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return manifest;
}

function describe({ weights, index, sealed, plain, left }: SurveyedModel, { id }: ModelManifest): EncryptedModelFiles {
  return {
    id,
    weights: weights.map(({ name }) => name),
    index: index?.name ?? null,
    sealed: sealed.map(({ name }) => name),
    plain: plain.map(({ name }) => name),
    left: left.map(({ name, reason }) => ({ name, reason })),
  };
}
