import { ASYNC_DISPOSE, DISPOSE } from '../disposal.js';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { CryptoTensorsError, argumentError, inputDetail, quote, quoteInput } from '../errors.js';
import { compareUtf8 } from '../format/canonical.js';
import { getEngine } from '../engine/load.js';
import type { Engine } from '../engine/types.js';
import { ITEMS_PER_BREATH, breathe } from '../twin.js';
import { NOT_CLONEABLE, notCloneable } from '../not-cloneable.js';
import type { Twin } from '../twin.js';
import { auditOf } from '../model/audit.js';
import type { AuditScope } from '../model/audit.js';
import { licenseInfo } from '../model/license-info.js';
import type { LicenseInfo } from '../model/license-info.js';
import { isReserved, metadataOf } from '../model/metadata.js';
import type { OpenedFiles } from '../open/open-files.js';
import { closeModel } from '../model/model.js';
import type { Model } from '../model/model.js';
import { ownReadOptions } from './options.js';
import type { ReadOptions } from './options.js';
import { folderOf, identityOf } from '../model/model-parts.js';
import type { ModelParts } from '../model/model-parts.js';
import { pinOf } from '../model/pin.js';
import { ModelFile } from './model-file.js';
import type { ModelIdentity } from '../format/model-identity.js';
import { readTensors } from './read-tensors.js';
import type { ReadContext } from './read-tensors.js';
import { attachModels, ownAttachOptions, shareModels } from '../open/share.js';
import type { AttachOptions, SharedModel, Sharing } from '../open/share.js';
import type { ShardIndex } from '../model/shards.js';
import type { TensorRef } from '../model/tensor-index.js';
import { Reads } from './reads.js';
import type { ReadDefaults } from './reads.js';
import { SafeSlice } from './safe-slice.js';
import type { TensorIndex } from '../model/tensor-index.js';
import { tensorInfo } from '../model/tensor-info.js';
import type { TensorInfo } from '../model/tensor-info.js';
import type { Tensor } from './tensor.js';
import { MAKER, checkMaker } from '../maker.js';

/** Options of `getTensors`. */
export interface GetTensorsOptions extends ReadOptions {
  /** Which tensors, by name; all of them by default. */
  names?: Iterable<string>;
}

/** Which model a file belongs to. */
export interface ModelIdentityInfo {
  /** Of the model, for its life: a UUID. */
  id: string;
  /** Of the headers that were made together. */
  set: string;
  /** Counts how often headers were made for it. */
  generation: number;
}

/**
 * An open model: one file, or the shards of one model. Its header was verified when it was opened; tensors are read,
 * verified and decrypted on request, and belong to the caller. Made by `safeOpen`.
 */
export class SafeFile implements Disposable, AsyncDisposable {
  readonly #engine: Engine;
  readonly #models: readonly Model[];
  readonly #sealed: readonly Model[];
  readonly #isWhole: boolean;
  readonly #index: TensorIndex;
  readonly #shards: ShardIndex | null;
  readonly #scope: AuditScope;
  readonly #reads: Reads;
  /** Withdrawn when this is closed, or collected without having been. */
  #sharing: Sharing | null = null;
  #pins: readonly string[] | null = null;
  /** @internal */
  readonly [NOT_CLONEABLE] = notCloneable('a SafeFile: post its share(), and attach to that');

  /** @internal Use `safeOpen`. */
  constructor(opened: OpenedFiles, options: ReadDefaults, maker: typeof MAKER) {
    checkMaker(maker, 'a SafeFile is made by safeOpen()');
    const { engine, models, sealed, index, shards, isWhole, audit } = opened;
    this.#engine = engine;
    this.#models = models;
    this.#sealed = sealed;
    this.#isWhole = isWhole;
    this.#index = index;
    this.#shards = shards;
    const files = [...models, ...sealed].map(({ path }) => path);
    this.#scope = { path: shards?.path ?? files[0], files };
    this.#reads = new Reads(engine, options, { audit, scope: this.#scope });
  }

  /** Tensor names in ascending UTF-8 byte order, as in safetensors for Python. */
  keys(): string[] {
    return [...this.#index.keys()].sort(compareUtf8);
  }

  /** Tensor names in the order of their data (shard by shard). */
  offsetKeys(): string[] {
    return this.#models.flatMap((model) => model.header.names);
  }

  /**
   * Names of the tensors that the file's policy lets the caller read, as `keys()` orders them: all of them, unless it defines
   * `allow_tensor`. Each tensor is asked about once while the file is open, by whatever comes first: this, a read or `share()`.
   *
   * @throws {CryptoTensorsError} `PolicyError` if the policy gives no answer about several tensors at once; `Closed`
   */
  async allowedKeys(): Promise<string[]> {
    return this.#reads.run({}, ({ signal }) => this.#allowedKeys(signal));
  }

  /** The same, blocking the calling thread. */
  allowedKeysSync(): string[] {
    return this.#reads.runSync({}, ({ signal }) => this.#allowedKeys(signal));
  }

  *#allowedKeys(signal: AbortSignal | undefined): Twin<string[]> {
    const names: string[] = [];
    for (const { guard, header } of this.#models) {
      const allowed =
        guard === null ? header.names : (yield* guard.allowed(signal)).map((index) => header.names[index]!);
      for (const name of allowed) names.push(name);
    }
    return names.sort(compareUtf8);
  }

  has(name: string): boolean {
    if (typeof (name as unknown) !== 'string') throw argumentError('name', 'a string', name);
    return this.#index.get(name) !== undefined;
  }

  /** Number of tensors. */
  get size(): number {
    return this.#index.size;
  }

  /** True if every file of the model is encrypted and signed. */
  get encrypted(): boolean {
    return this.#models.every((model) => model.encryption !== null);
  }

  /** The user's metadata, null where the header has none. An object without a prototype; shards are merged in order. */
  metadata(): Record<string, string> | null {
    return this.#metadata((key) => !isReserved(key));
  }

  /** The metadata keys that begin with `__`, as they stand in the (first) header: the format's own. */
  reservedMetadata(): Record<string, string> | null {
    return this.#metadata(isReserved);
  }

  #metadata(wanted: (key: string) => boolean): Record<string, string> | null {
    return metadataOf(
      this.#models.map(({ header }) => header),
      wanted,
    );
  }

  /** Key ids of the signers that were verified, one per file; empty for a plain model. */
  signers(): (string | null)[] {
    return this.#models.flatMap((model) => (model.encryption === null ? [] : [model.encryption.signer]));
  }

  /** What the licence says that the model was opened with, or that is in the file's own header; null where there is none. */
  license(): LicenseInfo | null {
    const terms = this.#models[0]?.encryption?.license ?? null;
    return terms && licenseInfo(terms);
  }

  /** SHA-256 of each file's canonical header, in hex: what the `pin` option compares. */
  pins(): string[] {
    this.#pins ??= this.#models.map(({ header }) => pinOf(this.#engine, header));
    return [...this.#pins];
  }

  /**
   * What the header says of one tensor. Reads nothing.
   *
   * @throws {CryptoTensorsError} `TensorNotFound`
   */
  info(name: string): TensorInfo {
    return tensorInfo(this.#find(name));
  }

  /**
   * Reads one tensor: verified and decrypted in native threads.
   *
   * @throws {CryptoTensorsError} `TensorNotFound`; `PolicyDenied` or `PolicyError` if the file's policy does not let this tensor
   * be read; `BadTag` or `BadDigest` if its bytes are not what the header vouches for;
   * `FileChanged`; `InvalidOption` if `into` is too small; `Closed`
   * @throws {AbortError} when `signal` fires or the file is closed meanwhile
   */
  async getTensor(name: string, options: ReadOptions = {}): Promise<Tensor> {
    const own = ownReadOptions(options, 'getTensor');
    return (await this.#read([this.#findToRead(name)], own))[0]!;
  }

  /** The same, blocking the calling thread. */
  getTensorSync(name: string, options: ReadOptions = {}): Tensor {
    const own = ownReadOptions(options, 'getTensorSync');
    return this.#readSync([this.#findToRead(name)], own)[0]!;
  }

  /**
   * Reads many tensors (all of them by default) as one native job into one piece of memory; into several, job by job, where they are
   * longer than a typed array can be: 4 GiB in Node.js 20.
   *
   * @returns the tensors by name, in the order of their data
   * @throws the same as `getTensor`; when one tensor fails or is refused, none is returned
   */
  async getTensors(options: GetTensorsOptions = {}): Promise<Map<string, Tensor>> {
    const own = ownReadOptions<GetTensorsOptions>(options, 'getTensors', ['names']);
    return this.#reads.run(own, (context) => this.#getTensors(own, context));
  }

  /** The same, blocking the calling thread. */
  getTensorsSync(options: GetTensorsOptions = {}): Map<string, Tensor> {
    const own = ownReadOptions<GetTensorsOptions>(options, 'getTensorsSync', ['names']);
    return this.#reads.runSync(own, (context) => this.#getTensors(own, context));
  }

  *#getTensors(options: GetTensorsOptions, context: ReadContext): Twin<Map<string, Tensor>> {
    const refs = yield* this.#select(options.names);
    const tensors = yield* readTensors(refs, options, context);
    const byName = new Map<string, Tensor>();
    for (const [i, tensor] of tensors.entries()) {
      if (i % ITEMS_PER_BREATH === 0) yield* breathe();
      byName.set(tensor.name, tensor);
    }
    return byName;
  }

  /**
   * A tensor to read parts of. Reads nothing by itself.
   *
   * @throws {CryptoTensorsError} `TensorNotFound`
   */
  getSlice(name: string): SafeSlice {
    return new SafeSlice(this.#findToRead(name), this.#reads, MAKER);
  }

  /**
   * Paths of the files beside the weights that the model's signed headers list, sorted: configuration, tokenizer, sealed files.
   * Empty for a model without a signed identity. What else lies in the folder does not belong to the model.
   *
   * @throws {CryptoTensorsError} `InvalidOption` if a file of the model was opened by itself, and not its folder or index
   */
  files(): string[] {
    const identity = this.#fileList();
    return identity === null ? [] : [...identity.sealed, ...identity.plain.keys()].sort(compareUtf8);
  }

  /**
   * A file beside the weights, to be read. Reads nothing by itself.
   *
   * @param path as `files()` lists it
   * @throws {CryptoTensorsError} `InvalidOption` for a path that it does not list
   */
  getFile(path: string): ModelFile {
    if (typeof path !== 'string') throw argumentError('path', 'a string', path);
    this.#reads.assertOpen();
    const identity = this.#fileList();
    const sealed = identity?.sealed.indexOf(path) ?? -1;
    if (sealed >= 0) return new ModelFile(path, { kind: 'sealed', model: this.#sealed[sealed]! }, this.#reads);
    const digest = identity?.plain.get(path);
    if (digest !== undefined) {
      return new ModelFile(path, { kind: 'plain', path: join(folderOf(this.parts()), path), digest }, this.#reads);
    }
    throw new CryptoTensorsError('InvalidOption', `the model has no file ${quoteInput(path)}; files() lists them`);
  }

  #fileList(): ModelIdentity | null {
    const identity = identityOf({ models: this.#models });
    if (identity === null || this.#isWhole || identity.sealed.length + identity.plain.size === 0) return identity;
    throw new CryptoTensorsError(
      'InvalidOption',
      `${inspect(this)} was opened as a file by itself: open the folder of the model, or its index, to read what lies beside it`,
    );
  }

  /** Which model this is, by its signed headers; null where they do not say. */
  identity(): ModelIdentityInfo | null {
    const identity = identityOf({ models: this.#models });
    return identity && { id: identity.id, set: identity.set, generation: identity.generation };
  }

  /**
   * A token for other threads of this process: send it with `postMessage`, and attach to it there. They use the same verified
   * header, data keys and descriptors: nothing is verified twice, and no key is in the token. Valid until this file is closed
   * or collected, or the thread that opened it ends; what was attached by then stays open.
   *
   * If the file's policy defines `allow_tensor`, it is asked about all tensors now, and the token holds its answers but neither
   * claims nor environment. `await allowedKeys()` first asks without blocking the thread.
   *
   * @throws {CryptoTensorsError} `InvalidOption` for a model in memory that is not shared; `NativeUnavailable` with the node
   * engine; `PolicyError` if the policy gives no answer
   */
  share(): SharedModel {
    this.#reads.assertOpen();
    this.#sharing ??= shareModels(this.#engine, this.parts());
    return this.#sharing.shared;
  }

  /**
   * The model behind a token of another thread.
   *
   * @throws {CryptoTensorsError} `Closed` if the model has been closed where it was opened
   * @throws {TypeError} if it is no token
   */
  static attach(token: SharedModel, options: AttachOptions = {}): SafeFile {
    const own = ownAttachOptions(options);
    const engine = getEngine();
    const audit = auditOf(own);
    const attached = attachModels(token, engine, audit);
    return new SafeFile({ engine, audit, ...attached }, own, MAKER);
  }

  /**
   * Closes the files. Reads that are under way end with `Closed`; tensors that were handed out stay valid.
   *
   * @returns a promise that settles once no thread works for this file any more
   */
  async close(): Promise<void> {
    this.closeNow();
    await this.#reads.settled();
  }

  /** Closes without waiting for reads that are under way. */
  [DISPOSE](): void {
    this.closeNow();
  }

  /** @internal The same, for whole-file work. */
  closeNow(): void {
    if (this.#reads.closed) return;
    this.#reads.close();
    for (const publication of this.#sharing?.publications ?? []) publication.withdraw();
    for (const model of [...this.#models, ...this.#sealed]) closeModel(model);
  }

  [ASYNC_DISPOSE](): Promise<void> {
    return this.close();
  }

  [inspect.custom](): string {
    const files = this.#models.map((model) => (model.path === undefined ? 'bytes' : quote(model.path)));
    const state = this.#reads.closed ? 'closed' : `${this.#index.size} tensors`;
    return `SafeFile { ${files.join(', ')}, ${this.encrypted ? 'encrypted' : 'plain'}, ${state} }`;
  }

  toJSON(): { files: (string | null)[]; encrypted: boolean; tensors: number } {
    return {
      files: this.#models.map((model) => model.path ?? null),
      encrypted: this.encrypted,
      tensors: this.#index.size,
    };
  }

  /** @internal Where refusals of whole-file work belong. */
  get scope(): AuditScope {
    return this.#scope;
  }

  /** @internal The files, for whole-file work. */
  models(): readonly Model[] {
    this.#reads.assertOpen();
    return this.#models;
  }

  /** @internal The files, sealed ones too, for work on a whole model. */
  parts(): ModelParts {
    this.#reads.assertOpen();
    return { models: this.#models, sealed: this.#sealed, shards: this.#shards, isWhole: this.#isWhole };
  }

  #find(name: string): TensorRef {
    if (typeof name !== 'string') throw argumentError('name', 'a string', name);
    this.#reads.assertOpen();
    if (typeof (name as unknown) !== 'string') throw argumentError('name', 'a string', name);
    const ref = this.#index.get(name);
    if (ref !== undefined) return ref;
    throw new CryptoTensorsError(
      'TensorNotFound',
      `no tensor ${quoteInput(name)} in ${inspect(this)}; keys() lists the names`,
      { ...inputDetail('tensor', name), ...(this.#scope.path === undefined ? {} : { path: this.#scope.path }) },
    );
  }

  #findToRead(name: string): TensorRef {
    try {
      return this.#find(name);
    } catch (error) {
      throw this.#reads.denied(error);
    }
  }

  *#select(names: unknown): Twin<TensorRef[]> {
    const refs: TensorRef[] = [];
    if (names === undefined) {
      for (const ref of this.#index.values()) {
        if (refs.push(ref) % ITEMS_PER_BREATH === 0) yield* breathe();
      }
      return refs;
    }
    if (typeof names === 'string' || typeof (names as Iterable<string> | null)?.[Symbol.iterator] !== 'function') {
      throw argumentError('options.names', 'a list of names', names);
    }
    for (const name of new Set(names as Iterable<unknown>)) {
      if (typeof name !== 'string') throw argumentError('each of options.names', 'a string', name);
      if (refs.push(this.#find(name)) % ITEMS_PER_BREATH === 0) yield* breathe();
    }
    return refs;
  }

  #read(refs: readonly TensorRef[], options: ReadOptions): Promise<Tensor[]> {
    return this.#reads.run(options, (context) => readTensors(refs, options, context));
  }

  #readSync(refs: readonly TensorRef[], options: ReadOptions): Tensor[] {
    return this.#reads.runSync(options, (context) => readTensors(refs, options, context));
  }
}
