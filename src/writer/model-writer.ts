import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { CryptoTensorsError, quote, quotePath } from '../errors.js';
import type { Header } from '../format/header.js';
import { encodeModelIdentity, sealedName, tensorNamesText } from '../format/model-identity.js';
import type { ModelManifest } from '../format/model-identity.js';
import { Reserved } from '../format/vocabulary.js';
import type { Engine, Sink, Source } from '../engine/types.js';
import { writeAtomically } from '../files/atomic-write.js';
import { NewFolder } from '../files/new-folder.js';
import { publicError } from '../model/faults.js';
import { SEALED_TENSOR, copyFile } from '../model/side-files.js';
import { openSource, readHeader } from '../model/source.js';
import { breathe, runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import { planEncryption, refuseEncrypted } from './encrypt-file.js';
import type { ModelSelection } from './model-selection.js';
import type { ProtectOptions, WorkOptions } from './options.js';
import type { Protection } from './protection.js';
import { prepareSeal, sealTo } from './seal.js';
import type { PreparedSeal } from './seal.js';
import type { SurveyedModel, WeightsFile } from './survey-model.js';
import { inParallel } from './in-parallel.js';
import { TotalProgress } from './total-progress.js';
import { withoutPrototype } from '../options.js';

/** Hubs that show what is in a file stop at headers of this size. */
const LARGE_HEADER_BYTES = 25_000_000;

export interface ModelToWrite {
  survey: SurveyedModel;
  manifest: ModelManifest;
  protection: Protection;
  selection: ModelSelection;
  options: Partial<ProtectOptions> & WorkOptions;
  engine: Engine;
}

/** A file of the new model. */
interface Work {
  name: string;
  byteLength: number;
  write(path: string, onProgress: WorkOptions['onProgress']): Twin<void>;
}

/** Writes an encrypted model: its files, each bound to all others. */
export class ModelWriter {
  readonly #model: ModelToWrite;

  constructor(model: ModelToWrite) {
    this.#model = model;
  }

  /**
   * Works out the largest headers, before any data is encrypted.
   *
   * @throws {CryptoTensorsError} `HeaderTooLarge`
   */
  *check(): Twin<void> {
    for (const file of this.#model.survey.weights) {
      const { tensors, headerBytes } = file;
      // Each record takes some 300 bytes, and each tag 22; what comes to less than half of the limit need not be counted.
      const { chunkSize } = this.#model.protection.encryption;
      const tags = chunkSize === 0 ? tensors : tensors + file.byteLength / chunkSize;
      if (headerBytes + 350 * tensors + 25 * tags < LARGE_HEADER_BYTES / 2) continue;
      const { dataStart } = yield* this.#opened(file, (source, header) => this.#plan(file.name, source, header));
      if (dataStart > LARGE_HEADER_BYTES) warnOfHeader(file, dataStart);
    }
  }

  /** The one file of a model without others. */
  async writeFile(path: string): Promise<void> {
    const [work] = this.#weights();
    await runAsync(work!.write(path, this.#model.options.onProgress));
  }

  /** All files, into a folder that is there when they all are. */
  async writeFolder(path: string): Promise<void> {
    const { options } = this.#model;
    const folder = NewFolder.create(path);
    try {
      const all = [...this.#weights(), ...this.#sealed(), ...this.#plain(), ...this.#index()];
      for (const { name } of all) if (name.includes('/')) folder.makeFolder(name.slice(0, name.lastIndexOf('/')));
      const progress = new TotalProgress(
        all.map(({ byteLength }) => byteLength),
        options.onProgress,
      );
      await inParallel(all, (work, i) => runAsync(work.write(join(folder.path, work.name), progress.of(i))));
      await runAsync(folder.claimTarget(options.durable !== false));
    } finally {
      folder.release();
    }
  }

  #weights(): Work[] {
    return this.#model.survey.weights.map((file) => ({
      name: file.name,
      byteLength: file.byteLength,
      write: (path, onProgress) =>
        this.#opened(file, (source, header) => this.#encrypt(file, { source, header, path, onProgress })),
    }));
  }

  *#encrypt(
    { name }: WeightsFile,
    {
      source,
      header,
      path,
      onProgress,
    }: { source: Source; header: Header; path: string; onProgress: WorkOptions['onProgress'] },
  ): Twin<void> {
    yield* this.#seal(yield* this.#plan(name, source, header), source, path, onProgress);
  }

  #sealed(): Work[] {
    const { survey, engine, options } = this.#model;
    const writeSealed = (from: string, name: string) =>
      function* (this: ModelWriter, path: string, onProgress: WorkOptions['onProgress']): Twin<void> {
        let source: Source | undefined;
        try {
          source = yield* openSource(from, engine);
          yield* this.#seal(this.#planSealed(name, source), source, path, onProgress);
        } catch (error) {
          throw publicError(error, { path: from, names: [SEALED_TENSOR], signal: options.signal });
        } finally {
          source?.close();
        }
      }.bind(this);
    return survey.sealed.map((file) => {
      const name = sealedName(file.name);
      return { name, byteLength: file.byteLength, write: writeSealed(file.path, name) };
    });
  }

  #plain(): Work[] {
    const { engine } = this.#model;
    return this.#model.survey.plain.map(({ name, path: from, byteLength, digest }) => ({
      name,
      byteLength,
      write: (path, onProgress) =>
        this.#write(path, byteLength, function* (sink) {
          yield* copyFile(engine, from, sink, digest);
          onProgress?.(byteLength, byteLength);
        }),
    }));
  }

  #index(): Work[] {
    const { index } = this.#model.survey;
    if (index === null) return [];
    const { name, bytes } = index;
    return [
      {
        name,
        byteLength: bytes.length,
        write: (path, onProgress) =>
          // eslint-disable-next-line require-yield -- nothing here takes long
          this.#write(path, bytes.length, function* (sink) {
            sink.write(0, bytes);
            onProgress?.(bytes.length, bytes.length);
          }),
      },
    ];
  }

  #write(path: string, byteLength: number, fill: (sink: Sink) => Twin<void>): Twin<void> {
    const { engine, options } = this.#model;
    return writeAtomically({ path, byteLength, engine, durable: options.durable }, fill);
  }

  /** Opens a plain file of tensors once more, if it still is what was looked at. */
  *#opened<Result>(file: WeightsFile, work: (source: Source, header: Header) => Twin<Result>): Twin<Result> {
    const { engine, options } = this.#model;
    let source: Source | undefined;
    let names: readonly string[] = [];
    try {
      source = yield* openSource(file.path, engine);
      const header = yield* readHeader(engine, source);
      names = header.names;
      refuseEncrypted(file.path, header);
      if (createHash('sha256').update(tensorNamesText(names)).digest('hex') !== file.digest) {
        throw new CryptoTensorsError(
          'FileChanged',
          `${quotePath(file.path)} was changed while the model was being written: begin again`,
          {
            path: file.path,
          },
        );
      }
      return yield* work(source, header);
    } catch (error) {
      throw publicError(error, { path: file.path, names, signal: options.signal });
    } finally {
      source?.close();
    }
  }

  *#plan(name: string, source: Source, header: Header): Twin<PreparedSeal> {
    yield* breathe();
    const { protection, selection } = this.#model;
    const metadata = new Map(header.metadata).set(Reserved.model, this.#identity(name));
    return planEncryption({ source, header, protection, metadata, select: (tensors) => selection.of(tensors) });
  }

  #planSealed(name: string, source: Source): PreparedSeal {
    const { protection } = this.#model;
    const { size } = source;
    const tensor = { name: SEALED_TENSOR, dtype: 'U8', shape: [size], begin: 0, end: size, source, offset: 0 } as const;
    const metadata = new Map([[Reserved.model, this.#identity(name)]]);
    return prepareSeal({ tensors: [tensor], metadata, protection, encrypt: [true] });
  }

  #identity(file: string): string {
    return encodeModelIdentity({ ...this.#model.manifest, file });
  }

  *#seal(prepared: PreparedSeal, source: Source, path: string, onProgress: WorkOptions['onProgress']): Twin<void> {
    const { engine, options } = this.#model;
    const file = { path, byteLength: prepared.byteLength, engine, durable: options.durable, like: source.status() };
    yield* writeAtomically(file, (sink) =>
      sealTo(
        prepared,
        sink,
        engine,
        withoutPrototype({ ...options, ...(onProgress === undefined ? {} : { onProgress }) }),
      ),
    );
  }
}

function warnOfHeader({ name }: WeightsFile, dataStart: number): void {
  process.emitWarning(
    `the header of ${quote(name)} will be ${dataStart} bytes: hubs that show what is in a file stop at ${LARGE_HEADER_BYTES}. Store the model in more shards, or encrypt in larger chunks`,
    { type: 'CryptoTensorsWarning', code: 'LargeHeader' },
  );
}
