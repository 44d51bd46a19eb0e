import { basename, dirname, join } from 'node:path';
import { writeAtomically } from '../files/atomic-write.js';
import { NewFolder } from '../files/new-folder.js';
import { auditOf } from '../model/audit.js';
import type { Audit } from '../model/audit.js';
import type { Model } from '../model/model.js';
import { indexShards, parseShardIndex, readIndexFile } from '../model/shards.js';
import type { ShardIndex } from '../model/shards.js';
import { checkPlainFile, copyFile } from '../model/side-files.js';
import { openSource } from '../model/source.js';
import { ownOpenOptions } from '../open/options.js';
import { open } from '../read/safe-open.js';
import type { SafeFile } from '../read/safe-file.js';
import { resolvePath } from '../path-argument.js';
import { runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import { decryptData, decryptOpened } from './decrypt-file.js';
import type { DecryptOptions } from './decrypt-file.js';
import { inParallel } from './in-parallel.js';
import { WORK_OPTIONS, checkWorkOptions } from './options.js';
import { TotalProgress } from './total-progress.js';
import { withoutPrototype } from '../options.js';

/** A file of the plain model. */
interface Work {
  name: string;
  byteLength: number;
  write(path: string, options: DecryptOptions): Twin<void>;
}

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
  const { models, sealed, shards, isWhole } = file.parts();
  const identity = isWhole ? (models[0]!.encryption?.identity ?? null) : null;
  const root = shards === null ? dirname(models[0]!.path!) : dirname(shards.path);
  const all: Work[] = [
    ...models.map((model) => weightsOf(model, audit)),
    ...sealed.map((model, i) => sealedOf(model, identity!.sealed[i]!, audit)),
    ...(identity === null
      ? []
      : [...identity.plain].map(([name, digest]) => plainOf(models[0]!, join(root, name), name, digest))),
    ...(shards === null ? [] : [indexOf(models, shards)]),
  ];
  const folder = NewFolder.create(to);
  try {
    for (const { name } of all) if (name.includes('/')) folder.makeFolder(dirname(name));
    const progress = new TotalProgress(
      all.map(({ byteLength }) => byteLength),
      options.onProgress,
    );
    await inParallel(all, (work, i) => {
      const onProgress = progress.of(i);
      const own = withoutPrototype({ ...options, ...(onProgress === undefined ? {} : { onProgress }) });
      return runAsync(work.write(join(folder.path, work.name), own));
    });
    await runAsync(folder.claimTarget(options.durable !== false));
  } finally {
    folder.release();
  }
}

function weightsOf(model: Model, audit: Audit | null): Work {
  return {
    name: basename(model.path!),
    byteLength: dataBytes(model),
    write: (path, options) => decryptOpened(model, path, options, audit),
  };
}

function sealedOf(model: Model, name: string, audit: Audit | null): Work {
  return {
    name,
    byteLength: dataBytes(model),
    write: (path, options) => decryptData(model, NOTHING, path, options, audit),
  };
}

const NOTHING = new Uint8Array(0);

function plainOf({ engine }: Model, from: string, name: string, digest: string): Work {
  return {
    name,
    byteLength: 0,
    *write(path, { durable }) {
      yield* checkPlainFile(engine, from, digest);
      const source = yield* openSource(from, engine);
      const [byteLength, like] = [source.size, source.status()];
      source.close();
      yield* writeAtomically({ path, byteLength, engine, durable, like }, (sink) =>
        copyFile(engine, from, sink, digest),
      );
    },
  };
}

function indexOf(models: readonly Model[], shards: ShardIndex): Work {
  const { engine } = models[0]!;
  return {
    name: basename(shards.path),
    byteLength: 0,
    *write(path, { durable }) {
      // What stands under the name by now can be another index than the one that the model was opened by.
      const bytes = yield* readIndexFile(shards.path, engine);
      yield* indexShards(models, yield* parseShardIndex(shards.path, bytes));
      // eslint-disable-next-line require-yield -- nothing here takes long
      yield* writeAtomically({ path, byteLength: bytes.length, engine, durable }, function* (sink) {
        sink.write(0, bytes);
      });
    },
  };
}

function dataBytes({ header }: Model): number {
  return header.end.at(-1) ?? 0;
}
