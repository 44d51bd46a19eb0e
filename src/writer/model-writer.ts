import { CryptoTensorsError, quote, quotePath } from '../errors.js';
import type { Header } from '../format/header.js';
import { encodeModelIdentity, sealedName } from '../format/model-identity.js';
import type { ModelManifest } from '../format/model-identity.js';
import { Reserved } from '../format/vocabulary.js';
import type { Engine, Source } from '../engine/types.js';
import { writeAtomically, writeBytesAtomically } from '../files/atomic-write.js';
import { tensorNamesDigest } from '../model/digests.js';
import type { FaultContext } from '../model/faults.js';
import { SEALED_TENSOR, digestOf } from '../model/side-files.js';
import { readHeader, withSource } from '../model/source.js';
import { breathe, runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import { planEncryption, refuseEncrypted } from './encrypt-file.js';
import type { ModelSelection } from './model-selection.js';
import { reportingTo } from './options.js';
import type { ProtectOptions, WorkOptions } from './options.js';
import type { Protection } from './protection.js';
import { prepareSeal, sealTo } from './seal.js';
import type { PreparedSeal } from './seal.js';
import type { SurveyedModel, WeightsFile } from './survey-model.js';
import { writeFiles } from './write-files.js';
import type { FileToWrite } from './write-files.js';

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
    const files = [...this.#weights(), ...this.#sealed(), ...this.#plain(), ...this.#index()];
    await writeFiles(files, path, this.#model.options);
  }

  #weights(): FileToWrite[] {
    return this.#model.survey.weights.map((file) => ({
      name: file.name,
      byteLength: file.byteLength,
      write: (path, onProgress) =>
        this.#opened(file, (source, header) =>
          this.#seal(this.#plan(file.name, source, header), source, path, onProgress),
        ),
    }));
  }

  #sealed(): FileToWrite[] {
    return this.#model.survey.sealed.map(({ name, path, byteLength }) => ({
      name: sealedName(name),
      byteLength,
      write: (to, onProgress) => {
        const context = { path, names: [SEALED_TENSOR], signal: this.#model.options.signal };
        return withSource(this.#model.engine, context, (source) =>
          this.#seal(this.#planSealed(sealedName(name), source), source, to, onProgress),
        );
      },
    }));
  }

  #plain(): FileToWrite[] {
    const { engine, options, survey } = this.#model;
    return survey.plain.map(({ name, path: from, byteLength, digest }) => ({
      name,
      byteLength,
      write: (path, onProgress) =>
        withSource(engine, { path: from, names: [] }, function* (source) {
          const file = { path, byteLength: source.size, engine, durable: options.durable };
          const copied = yield* writeAtomically(file, (sink) => digestOf(engine, source, sink));
          if (copied !== digest) throw changed(from);
          onProgress?.(byteLength, byteLength);
        }),
    }));
  }

  #index(): FileToWrite[] {
    const { engine, options, survey } = this.#model;
    if (survey.index === null) return [];
    const { name, bytes } = survey.index;
    return [
      {
        name,
        byteLength: bytes.length,
        *write(path, onProgress) {
          yield* writeBytesAtomically({ path, engine, durable: options.durable }, bytes);
          onProgress?.(bytes.length, bytes.length);
        },
      },
    ];
  }

  /** Opens a plain file of tensors once more, if it still is what was looked at. */
  *#opened<Result>(file: WeightsFile, work: (source: Source, header: Header) => Twin<Result>): Twin<Result> {
    const { engine, options } = this.#model;
    const context: FaultContext & { path: string } = { path: file.path, names: [], signal: options.signal };
    return yield* withSource(engine, context, function* (source) {
      const header = yield* readHeader(engine, source);
      context.names = header.names;
      refuseEncrypted(file.path, header);
      if (tensorNamesDigest(engine, header) !== file.digest) throw changed(file.path);
      return yield* work(source, header);
    });
  }

  *#plan(name: string, source: Source, header: Header): Twin<PreparedSeal> {
    yield* breathe();
    const { protection, selection } = this.#model;
    const metadata = new Map(header.metadata).set(Reserved.model, this.#identity(name));
    return planEncryption({ source, header, protection, metadata, select: (tensors) => selection.of(tensors) });
  }

  *#planSealed(name: string, source: Source): Twin<PreparedSeal> {
    yield* breathe();
    const { protection } = this.#model;
    const { size } = source;
    const tensor = { name: SEALED_TENSOR, dtype: 'U8', shape: [size], begin: 0, end: size, source, offset: 0 } as const;
    const metadata = new Map([[Reserved.model, this.#identity(name)]]);
    return prepareSeal({ tensors: [tensor], metadata, protection, encrypt: [true] });
  }

  #identity(file: string): string {
    return encodeModelIdentity({ ...this.#model.manifest, file });
  }

  *#seal(plan: Twin<PreparedSeal>, source: Source, path: string, onProgress: WorkOptions['onProgress']): Twin<void> {
    const prepared = yield* plan;
    const { engine, options } = this.#model;
    const file = { path, byteLength: prepared.byteLength, engine, durable: options.durable, like: source.status() };
    yield* writeAtomically(file, (sink) => sealTo(prepared, sink, engine, reportingTo(options, onProgress)));
  }
}

function changed(path: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileChanged',
    `${quotePath(path)} was changed while the model was being written: begin again`,
    { path },
  );
}

function warnOfHeader({ name }: WeightsFile, dataStart: number): void {
  process.emitWarning(
    `the header of ${quote(name)} will be ${dataStart} bytes: hubs that show what is in a file stop at ${LARGE_HEADER_BYTES}. Store the model in more shards, or encrypt in larger chunks`,
    { type: 'CryptoTensorsWarning', code: 'LargeHeader' },
  );
}
