import { basename, join } from 'node:path';
import { writeAtomically, writeBytesAtomically } from '../files/atomic-write.js';
import { auditOf } from '../model/audit.js';
import type { Audit } from '../model/audit.js';
import type { Model } from '../model/model.js';
import { folderOf, identityOf } from '../model/model-parts.js';
import { indexShards, parseShardIndex, readIndexFile } from '../model/shards.js';
import type { ShardIndex } from '../model/shards.js';
import { digestOf, withPlainFile } from '../model/side-files.js';
import { ownOpenOptions } from '../open/options.js';
import { resolvePath } from '../path-argument.js';
import { open } from '../read/safe-open.js';
import type { SafeFile } from '../read/safe-file.js';
import { runAsync } from '../twin.js';
import { decryptData, decryptOpened } from './decrypt-file.js';
import type { DecryptOptions } from './decrypt-file.js';
import { WORK_OPTIONS, checkWorkOptions, reportingTo } from './options.js';
import type { WorkOptions } from './options.js';
import { writeFiles } from './write-files.js';
import type { FileToWrite } from './write-files.js';

/**
 * Verifies and decrypts a model to a folder: its weights to plain safetensors, its sealed files to what they were, its plain files
 * copied if they are what was signed. Each chunk is verified before a byte of it is written; the folder is there when all is
 * complete, or not at all.
 *
 * @param source a folder, or the path of the model's file or index in it
 * @throws the same as `decryptFile`; `ModelMismatch`; `FileError` with `EEXIST` where the target is there
 * @throws {AbortError} when `signal` fires; nothing is left behind
 */
export async function decryptModel(
  source: string | URL,
  target: string | URL,
  options: DecryptOptions = {},
): Promise<void> {
  const [from, to] = [resolvePath(source, 'source'), resolvePath(target, 'target')];
  const own = ownOpenOptions<DecryptOptions>(options, 'decryptModel', WORK_OPTIONS);
  checkWorkOptions(own);
  const file = await runAsync(open(from, own, { lasting: false }));
  const audit = auditOf(own);
  try {
    await decryptTo(file, to, own, audit);
  } catch (error) {
    audit?.denied(error, file.scope);
    throw error;
  } finally {
    file.closeNow();
  }
}

async function decryptTo(file: SafeFile, to: string, options: DecryptOptions, audit: Audit | null): Promise<void> {
  const parts = file.parts();
  const { models, sealed, shards, isWhole } = parts;
  const identity = isWhole ? identityOf(parts) : null;
  const folder = folderOf(parts);
  const files: FileToWrite[] = [
    ...models.map((model) => ({
      name: basename(model.path!),
      byteLength: model.header.dataBytes,
      write: (path: string, onProgress: Report) => decryptOpened(model, path, reportingTo(options, onProgress), audit),
    })),
    ...sealed.map((model, i) => ({
      name: identity!.sealed[i]!,
      byteLength: model.header.dataBytes,
      write: (path: string, onProgress: Report) =>
        decryptData(model, NOTHING, path, reportingTo(options, onProgress), audit),
    })),
    ...[...(identity?.plain ?? [])].map(([name, digest]) =>
      plainOf(models[0]!, { name, from: join(folder, name), digest }, options),
    ),
    ...(shards === null ? [] : [indexOf(models, shards, options)]),
  ];
  await writeFiles(files, to, options);
}

type Report = WorkOptions['onProgress'];

const NOTHING = new Uint8Array(0);

function plainOf(
  { engine }: Model,
  { name, from, digest }: { name: string; from: string; digest: string },
  { durable }: DecryptOptions,
): FileToWrite {
  return {
    name,
    byteLength: 0,
    write: (path) =>
      // What was copied and is not what was signed goes with the folder.
      withPlainFile(engine, from, digest, function* (source) {
        const file = { path, byteLength: source.size, engine, durable, like: source.status() };
        const copied = yield* writeAtomically(file, (sink) => digestOf(engine, source, sink));
        return { digest: copied, result: undefined };
      }),
  };
}

function indexOf(models: readonly Model[], shards: ShardIndex, { durable }: DecryptOptions): FileToWrite {
  const { engine } = models[0]!;
  return {
    name: basename(shards.path),
    byteLength: 0,
    *write(path) {
      // What stands under the name by now can be another index than the one that the model was opened by.
      const bytes = yield* readIndexFile(shards.path, engine);
      yield* indexShards(models, yield* parseShardIndex(shards.path, bytes));
      yield* writeBytesAtomically({ path, engine, durable }, bytes);
    },
  };
}
