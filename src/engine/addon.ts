import type { TensorBox } from '../format/box.js';
import type { AeadProvider, EngineFacts, FileStatus, RecordFault } from './types.js';
import type { AeadAlgorithm, AgreementCurve, DigestAlgorithm } from '../format/vocabulary.js';

declare const kind: unique symbol;

/** An object of the addon's. It is type-tagged: passed where another kind is expected it is a TypeError. */
export interface Handle<Kind extends string> {
  readonly [kind]: Kind;
}

export type SecretHandle = Handle<'secret'>;
export type SourceHandle = Handle<'source'>;
export type SinkHandle = Handle<'sink'>;
/** Withdraws what is shared when it is closed or collected, or with the thread that made it. */
export type PublicationHandle = Handle<'publication'>;
export type TableHandle = Handle<'table'>;

/** A job that resolves to a `Result`. It can be started or run once. */
export type JobHandle<Result> = Handle<'job'> & { readonly result?: Result };

/**
 * What the addon exports (native/binding). Functions throw, and promises reject with, an `Error` with the fields `code`,
 * `tensor`, `chunk` and `errno` for a fault, a TypeError or RangeError for an argument that does not fit.
 */
export interface Addon {
  info(): Omit<EngineFacts, 'engine'>;
  /** For the whole process: the first call that succeeds counts, later ones do nothing. Null is the faster AEAD provider. */
  configure(threads: number, provider: AeadProvider | null): void;
  /** `CRYPTOTENSORS_ENGINE` in the process's own environment, which a worker's `process.env` need not be. */
  processEngine(): string | null;

  importSecret(bytes: Uint8Array): SecretHandle;
  importSecretBase64(text: Uint8Array): SecretHandle | null;
  randomSecret(byteLength: number): SecretHandle;
  exportSecret(secret: SecretHandle): Uint8Array;
  secretLength(secret: SecretHandle): number;
  secretsEqual(a: SecretHandle, b: SecretHandle): boolean;
  disposeSecret(secret: SecretHandle): void;

  wrapDeks(algorithm: AeadAlgorithm, master: SecretHandle, deks: SecretHandle): Uint8Array;
  unwrapDeks(
    algorithm: AeadAlgorithm,
    master: SecretHandle,
    rows: Uint8Array,
  ): { deks: SecretHandle; row?: undefined } | { deks?: undefined; row: number };

  ed25519PublicKey(seed: SecretHandle): Uint8Array;
  ed25519Sign(seed: SecretHandle, message: Uint8Array): Uint8Array;
  ed25519VerifyJob(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): JobHandle<boolean>;

  agreementPublicKey(curve: AgreementCurve, secret: SecretHandle): Uint8Array | null;
  isAgreementPublicKey(curve: AgreementCurve, publicKey: Uint8Array): boolean;
  agreeOnKey(curve: AgreementCurve, secret: SecretHandle, peer: Uint8Array, info: Uint8Array): SecretHandle | null;
  openMessage(
    key: SecretHandle,
    iv: Uint8Array,
    additional: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): SecretHandle | null;
  digest(algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array;

  openFileJob(path: string): JobHandle<SourceHandle>;
  openBytes(bytes: Uint8Array): SourceHandle;
  sourceSize(source: SourceHandle): number;
  readRawJob(source: SourceHandle, offset: number, destination: Uint8Array): JobHandle<undefined>;
  mapSource(source: SourceHandle, offset: number, length: number): Uint8Array;
  closeSource(source: SourceHandle): void;

  createFile(path: string, mode: number): SinkHandle;
  memorySink(bytes: Uint8Array): SinkHandle;
  sinkAllocateJob(sink: SinkHandle, size: number): JobHandle<undefined>;
  sinkWrite(sink: SinkHandle, offset: number, bytes: Uint8Array): void;
  sinkSyncJob(sink: SinkHandle): JobHandle<undefined>;
  closeSink(sink: SinkHandle): void;
  sourceStatus(source: SourceHandle): FileStatus | null;
  sinkStatus(sink: SinkHandle): FileStatus | null;
  sinkSetMode(sink: SinkHandle, mode: number): void;
  sinkSetOwner(sink: SinkHandle, uid: number | null, gid: number | null): void;
  readonly locksFiles: boolean;
  removeAbandoned(path: string): boolean;

  createTable(
    dataStart: number,
    begin: Float64Array,
    end: Float64Array,
    encryption: RecordsOf<AeadAlgorithm> | null,
    integrity: RecordsOf<DigestAlgorithm> | null,
  ): TableOrFault;
  createTableJob(
    dataStart: number,
    begin: Float64Array,
    end: Float64Array,
    encryption: RecordsOf<AeadAlgorithm> | null,
    integrity: RecordsOf<DigestAlgorithm> | null,
  ): JobHandle<TableOrFault>;
  unwrapTable(table: TableHandle, master: SecretHandle): number;
  unwrapTableJob(table: TableHandle, master: SecretHandle): JobHandle<number>;
  wrappedDeks(table: TableHandle): Uint8Array;
  installDeks(table: TableHandle, deks: SecretHandle): void;
  exportDeks(table: TableHandle): SecretHandle;
  disposeTable(table: TableHandle): void;

  share(
    source: SourceHandle | null,
    table: TableHandle,
    facts: Uint8Array,
  ): { token: string; publication: PublicationHandle };
  unshare(publication: PublicationHandle): void;
  attach(token: string): { source: SourceHandle | null; table: TableHandle; facts: Uint8Array };

  readJob(
    table: TableHandle,
    source: SourceHandle,
    destination: Uint8Array,
    copies: Float64Array | TensorBox,
    threads: number,
  ): JobHandle<undefined>;
  unsealJob(
    table: TableHandle,
    source: SourceHandle,
    sink: SinkHandle,
    tensors: Float64Array,
    threads: number,
  ): JobHandle<undefined>;
  sealJob(
    sources: SourceHandle[],
    sink: SinkHandle,
    items: Float64Array,
    encryption: { algorithm: AeadAlgorithm; version: 1 | 2; chunkSize: number; master: SecretHandle } | null,
    integrity: { algorithm: DigestAlgorithm; chunkSize: number } | null,
    threads: number,
  ): JobHandle<Uint8Array>;

  /** Works on the job on pool threads. */
  startJob<Result>(job: JobHandle<Result>): Promise<Result>;
  /** The same, blocking the calling thread, which helps. */
  runJob<Result>(job: JobHandle<Result>): Result;
  /** Ends the job with `AbortError` once the chunks under way are done. */
  cancelJob(job: Handle<'job'>): void;
  /** Bytes done. */
  jobDone(job: Handle<'job'>): number;
  /** Bytes in all; 0 until that is known. */
  jobTotal(job: Handle<'job'>): number;

  /** Overwrites with zeros and, if told so, gives the pages back to the system. */
  wipeJob(bytes: Uint8Array, release: boolean): JobHandle<undefined>;
  /** Gives the pages back to the system, where it has a call for that. */
  release(bytes: Uint8Array): void;
  /**
   * The first offset in `buffer` whose address is a multiple of `alignment`. With 2 MiB, huge pages are asked for from
   * there on.
   */
  align(buffer: Uint8Array, alignment: number): number;
  wipe(bytes: Uint8Array): void;
}

export type TableOrFault = { table: TableHandle; fault?: undefined } | { table?: undefined; fault: RecordFault };

interface RecordsOf<Algorithm> {
  algorithm: Algorithm;
  chunkSize: number;
  document: Uint8Array;
  records: Int32Array;
}
