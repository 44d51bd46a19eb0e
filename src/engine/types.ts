/**
 * The one interface to byte work: files, memory, AEAD, digests, signatures, threads.
 *
 * TypeScript decides *what* (headers, keys, trust, policy, plans); an engine does *how*. Nothing in here knows JSON,
 * names or trust. `native.ts` implements it with the addon. All sizes and offsets are bytes, as exact integers
 * (they were checked against the file before they got here).
 */
import type { TensorBox } from '../format/box.js';
import type { AeadAlgorithm, AgreementCurve, DigestAlgorithm } from '../format/vocabulary.js';

/** Implementations of the AEADs inside the addon. */
export type AeadProvider = 'openssl' | 'ring';

/**
 * A secret in native memory: locked and out of core dumps where the system lets it, wiped on `dispose()`, on collection
 * and at exit. Printing it shows its length only.
 */
export interface Secret {
  readonly byteLength: number;
  dispose(): void;
}

/** What a file is known by, and who may use it: as its descriptor tells, so whatever its path leads to meanwhile. */
export interface FileStatus {
  device: bigint;
  inode: bigint;
  /** Permissions, with the set-user-id, set-group-id and sticky bits: `0o7777` at the most. */
  mode: number;
  uid: number;
  gid: number;
  /** How many names it has. */
  links: number;
}

/** Something that stored bytes are read from: an open file, or bytes in memory. */
export interface Source {
  /** Length in bytes when it was opened. */
  readonly size: number;
  /** Path of the file; undefined for bytes in memory. */
  readonly path: string | undefined;
  /** Null for bytes in memory, and where the system does not tell. */
  status(): FileStatus | null;
  /** Closes the descriptor once the jobs that use it have ended. Further use throws `Closed`. Idempotent. */
  close(): void;
}

/** Something that bytes are written to: a new file, or caller's memory. */
export interface Sink {
  /** Reserves `size` bytes of disk (as `posix_fallocate`), so that a full disk shows before the work. */
  allocate(size: number): void;
  /** Writes all of `bytes` at `offset`. */
  write(offset: number, bytes: Uint8Array): void;
  /** fsync. */
  sync(): void;
  /** `allocate` and `sync` on another thread: both can take long. */
  allocateAsync(size: number): Promise<void>;
  syncAsync(): Promise<void>;
  /** Null for memory, and where the system does not tell. */
  status(): FileStatus | null;
  /** Permissions, `0o777` at the most, by the descriptor; nothing for memory. The umask does not apply. */
  setMode(mode: number): void;
  /** By the descriptor; null leaves what is. FileError with EPERM where the system does not permit it. */
  setOwner(uid: number | null, gid: number | null): void;
  close(): void;
}

/**
 * What a table is made from. `begin`/`end` are offsets in the data section, per tensor in data order. All of it was
 * validated by the format layer, except the base64 of the records, which the engine decodes strictly (RFC 4648 §4:
 * padding required, alphabet only, trailing bits zero).
 */
export interface TableSpec {
  /** Absolute position of the data section in the source. */
  dataStart: number;
  begin: Float64Array;
  end: Float64Array;
  /** Null for a plain file. */
  encryption: {
    algorithm: AeadAlgorithm;
    version: 1 | 2;
    /** Version 2: bytes per chunk, capped at 2^53 - 1 by the caller. Version 1: 0 (each tensor is one chunk). */
    chunkSize: number;
    /** UTF-8 text that the ranges in `records` point into. */
    document: Uint8Array;
    /**
     * Rows of RECORD_STRIDE numbers: tensor index; then [start, end) in `document` of the base64 text of
     * `wrapped_key`, `key_iv`, `key_tag`, `iv` or `base_iv`, `tag` or `tags`.
     */
    records: Int32Array;
  } | null;
  /** `__integrity__`, or null. */
  integrity: {
    algorithm: DigestAlgorithm;
    chunkSize: number;
    document: Uint8Array;
    /** Rows of 3: tensor index; [start, end) in `document` of the base64 text of the concatenated digests. */
    records: Int32Array;
  } | null;
}

/** Names of the fields of a record row, in order. `digests` is the one field of an integrity row. */
export type RecordField = 'wrapped_key' | 'key_iv' | 'key_tag' | 'iv' | 'tag' | 'digests';

/** Why a record was refused. `row` is the row in `records` (or in `integrity.records` for `digests`). */
export interface RecordFault {
  row: number;
  field: RecordField;
  problem: 'base64' | 'length' | 'counter-overflow';
  /** Decoded length in bytes, for `length`. */
  found: number;
  /** Expected length in bytes, for `length`. */
  expected: number;
}

/**
 * Where each tensor's bytes are and how to check them: offsets, DEKs, IVs, tags, digests, in native memory.
 * Immutable once its DEKs are unwrapped; shared by all jobs on the file. Wiped on `dispose()`.
 */
export interface TensorTable {
  /**
   * Unwraps every DEK under the master key. Returns the row of the first record that does not unwrap, or -1.
   * A table with encrypted tensors reads none of them before this has succeeded.
   */
  unwrap(master: Secret): number;
  /** The same on a pool thread, or awaiting ciphers that cannot block. The table is not used meanwhile, nor is the secret disposed of. */
  unwrapAsync(master: Secret): Promise<number>;
  /** The wrapped DEKs as the records hold them: rows of `wrappedDekBytes`, in the order of the records. A copy. */
  wrappedDeks(): Uint8Array;
  /**
   * Takes DEKs that were unwrapped elsewhere, concatenated in the order of the records: a copy. In place of `unwrap`; as that
   * it succeeds once. Whether they are the right ones shows at the first read, as `BadTag`.
   */
  installDeks(deks: Secret): void;
  /** All DEKs, concatenated in the order of the records. They must be there. */
  exportDeks(): Secret;
  dispose(): void;
}

/**
 * One read: any number of byte ranges of any number of tensors, verified, decrypted and copied to one destination.
 *
 * On success every chunk that was touched has passed its check. On failure or abort whatever had been written to the destination
 * has been wiped, by the job's own threads, and no thread touches it any more.
 *
 * The awaiting form takes shared memory and the library's own (memory.ts) as its destination, the blocking form any memory that
 * is not resizable.
 */
export interface ReadRequest {
  table: TensorTable;
  source: Source;
  destination: Uint8Array;
  /**
   * Rows of COPY_STRIDE numbers, sorted by tensor then start: tensor index, start in the tensor's bytes, length,
   * offset in `destination`. A row of length 0 for an empty tensor checks that tensor's tag or digest.
   *
   * Or a box of one tensor, which may have any number of runs: it is expanded as the work goes, never as a whole.
   */
  copies: Float64Array | TensorBox;
  /** Threads to use at the most; 0: all of the pool. */
  threads: number;
  signal: AbortSignal | undefined;
  /**
   * Called on the event loop, now and then, with bytes done and in total: those that are copied to the destination, however many
   * are read for them. Never less than before; at the end of a success once with all of them.
   */
  onProgress: ((done: number, total: number) => void) | undefined;
}

/** Decrypts whole tensors (verified chunk by chunk, before a byte of the chunk is written) from `source` to `sink`. */
export interface UnsealRequest extends Omit<ReadRequest, 'destination' | 'copies'> {
  sink: Sink;
  /** Rows of 2: tensor index, offset in the sink. */
  tensors: Float64Array;
}

export const SEAL_STRIDE = 5;
/** Values of the last column of `SealRequest.items`. */
export const SealMode = { plain: 0, encrypt: 1, digest: 2 } as const;

/** Encrypts, digests or copies tensors from sources to a sink. DEKs and IVs are drawn natively from the CSPRNG. */
export interface SealRequest {
  sources: Source[];
  sink: Sink;
  /** Rows of SEAL_STRIDE: source index, offset in that source, length, offset in the sink, SealMode. */
  items: Float64Array;
  encryption: { algorithm: AeadAlgorithm; version: 1 | 2; chunkSize: number; master: Secret } | null;
  integrity: { algorithm: DigestAlgorithm; chunkSize: number } | null;
  threads: number;
  signal: AbortSignal | undefined;
  onProgress: ((done: number, total: number) => void) | undefined;
}

export type FaultSide = 'source' | 'sink';

/** Thrown (or rejected with) by engines when a job fails; the reader turns it into a `CryptoTensorsError` with names. */
export interface JobFault {
  code:
    | 'BadTag'
    | 'BadDigest'
    | 'FileChanged'
    | 'FileError'
    | 'Closed'
    | 'AbortError'
    | 'OutOfMemory'
    | 'Detached'
    | 'InvalidOption';
  message: string;
  /** Of `FileError`: whether it is about what is read or about what is written. */
  side: FaultSide;
  /** Tensor index, or -1. */
  tensor: number;
  /** Chunk index within the tensor, or -1. */
  chunk: number;
  /** `ENOENT`, … for FileError. */
  systemCode?: string;
}

/** What `engineInfo()` reports. */
export interface EngineInfo extends EngineFacts {
  /** Why the addon does not serve although nobody chose another engine; null where it does, or another one was chosen. */
  fallback: string | null;
  /** The file that the addon was loaded from; null where it does not serve. */
  addon: string | null;
  /** Where else the addon was looked for, in that order, and why it was not loaded from there. */
  tried: readonly { addon: string; reason: string }[];
}

/** What an engine says of itself. */
export interface EngineFacts {
  /** `portable` is the one without the addon. */
  engine: 'native' | 'portable';
  /** Which AEAD implementation serves each algorithm. */
  aead: Record<AeadAlgorithm, AeadProvider | 'node:crypto' | 'webcrypto' | '@noble/ciphers'>;
  /** Measured at first use, in GB/s per thread; empty until then or where there was nothing to choose. */
  measured: Partial<Record<AeadAlgorithm, Partial<Record<AeadProvider, number>>>>;
  /** Version text of the host's OpenSSL, or null where the process exports none. */
  openssl: string | null;
  ring: string;
  blake3: string;
  /** Threads that work: those of the pool, or the calling one. */
  threads: number;
}

/** What a thread shares, until it is withdrawn or collected, or its thread ends. What was attached before stays. */
export interface Publication {
  readonly token: string;
  /** Nobody attaches any more. Idempotent. */
  withdraw(): void;
}

/**
 * Lets other threads of the process use what one thread has opened: the same descriptor, the same unwrapped DEKs. What goes
 * from thread to thread is a token, never a key.
 */
export interface EngineSharing {
  /**
   * `source` may be null for a file in memory, which each thread opens for itself. A copy of `facts` is kept with them: what
   * decides what may be read must not come from whoever attaches.
   */
  share(source: Source | null, table: TensorTable, facts: Uint8Array): Publication;
  /** The same, with a copy of the facts. Throws a JobFault with `Closed` if there is no such token (any more). */
  attach(
    token: string,
    pathOf: (facts: Uint8Array) => string | undefined,
  ): { source: Source | null; table: TensorTable; facts: Uint8Array };
}

/** A message of AES-256-GCM with additional data. `iv` is 12 bytes, `tag` 16. */
export interface SealedMessage {
  iv: Uint8Array;
  additional: Uint8Array;
  ciphertext: Uint8Array;
  tag: Uint8Array;
}

/** Key agreement by static keys. Neither a private key nor what it agrees on leaves the engine. */
export interface KeyAgreement {
  /** The public key of a private one; null for bytes that are none: on P-256 zero, and what is not below the order. */
  agreementPublicKey(curve: AgreementCurve, secret: Secret): Uint8Array | null;
  /** Whether bytes are a public key: on X25519 any 32, on P-256 a point of the curve. */
  isAgreementPublicKey(curve: AgreementCurve, publicKey: Uint8Array): boolean;
  /**
   * ECDH-ES in direct key agreement (RFC 7518 §4.6): the agreement, then one round of the Concat KDF, SHA-256 of 00000001, what
   * is agreed on, and `info`. 32 bytes. Null if `peer` is no public key, or one of small order, which agrees on the same with
   * everybody.
   */
  agreeOnKey(curve: AgreementCurve, secret: Secret, peer: Uint8Array, info: Uint8Array): Secret | null;
  /** What is in a message; null on a wrong tag. */
  openMessage(key: Secret, message: SealedMessage): Secret | null;
  /** The same, awaiting, which is the only form on an engine whose ciphers cannot block. */
  openMessageAsync(key: Secret, message: SealedMessage): Promise<Secret | null>;
}

export interface Engine extends KeyAgreement {
  readonly name: 'native' | 'portable';
  /** Null where the engine cannot share between threads. */
  readonly sharing: EngineSharing | null;
  info(): EngineFacts;

  /** Copies bytes into a secret. The caller wipes its own copy. */
  importSecret(bytes: Uint8Array): Secret;
  /**
   * Decodes base64 text (ASCII bytes; standard or URL-safe alphabet, padding optional, trailing bits zero) straight into
   * a secret, so that a key never becomes a JavaScript string. Returns null if it is not base64.
   */
  importSecretBase64(text: Uint8Array): Secret | null;
  /** Fresh from the CSPRNG. */
  randomSecret(byteLength: number): Secret;
  /** A copy of the secret's bytes in JavaScript memory, for key files and for providers. The caller wipes it. */
  exportSecret(secret: Secret): Uint8Array;
  /** Whether two secrets hold the same bytes, in constant time. */
  secretsEqual(a: Secret, b: Secret): boolean;

  /**
   * Encrypts each of the concatenated DEKs under the master key, each with an IV of its own from the CSPRNG.
   * Returns rows of `wrappedDekBytes`.
   */
  wrapDeks(algorithm: AeadAlgorithm, master: Secret, deks: Secret): Uint8Array;
  /** The inverse: the concatenated DEKs, or the first row that does not unwrap. */
  unwrapDeks(algorithm: AeadAlgorithm, master: Secret, rows: Uint8Array): { deks: Secret } | { row: number };
  /** Both awaiting, which is the only form on an engine whose ciphers cannot block. */
  wrapDeksAsync(algorithm: AeadAlgorithm, master: Secret, deks: Secret): Promise<Uint8Array>;
  unwrapDeksAsync(
    algorithm: AeadAlgorithm,
    master: Secret,
    rows: Uint8Array,
  ): Promise<{ deks: Secret } | { row: number }>;

  /** Ed25519 (RFC 8032, pure). 32-byte seed and public key, 64-byte signature. */
  ed25519PublicKey(seed: Secret): Uint8Array;
  ed25519Sign(seed: Secret, message: Uint8Array): Uint8Array;
  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
  /** The same on a pool thread, for a `message` that is shared or the library's own; a copy of any other. */
  ed25519VerifyAsync(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>;
  digest(algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array;

  /** Opens a regular file for reading. Throws a JobFault with `FileError`. */
  openFile(path: string): Promise<Source>;
  openFileSync(path: string): Source;
  /**
   * Bytes to read from, referred to, not copied; each chunk is copied to private memory before it is verified.
   *
   * Memory that can be taken away (memory.ts: neither shared nor the library's own) is *borrowed*: it serves the forms that block,
   * and `readRaw`, which then reads on the calling thread. Awaiting forms refuse it. If it goes away all the same, the next use
   * throws a JobFault with `Detached`.
   */
  openBytes(bytes: Uint8Array): Source;
  /** Fills all of `destination` from `offset`, unverified bytes: for headers. A short read is `FileChanged`. */
  readRaw(source: Source, offset: number, destination: Uint8Array): Promise<void>;
  readRawSync(source: Source, offset: number, destination: Uint8Array): void;

  /**
   * A view of a part of a file that is not empty, by a private mapping: nothing is read before it is touched, nothing is
   * verified, later changes of the file may show, and if it is cut the process dies at the touch. InvalidOption where that is
   * not to be had; FileChanged if it has changed already.
   */
  map(source: Source, offset: number, length: number): Uint8Array;

  /** Creates a new file for writing (`O_EXCL`); FileError with EEXIST if it is there. `mode` as in open(2). */
  createFile(path: string, mode: number): Sink;
  /** Whether a file is locked as long as the sink that created it is open, so that `removeAbandoned` can tell. */
  readonly locksFiles: boolean;
  /** Removes a regular file of this user's that no sink holds, and says whether it did. Throws nothing. */
  removeAbandoned(path: string): boolean;
  /** Memory to write to: any that is not resizable for blocking forms, shared or the library's own for awaiting ones. */
  memorySink(bytes: Uint8Array): Sink;

  createTable(spec: TableSpec): { table: TensorTable } | { fault: RecordFault };
  /** The same on a pool thread. What the spec refers to must not change meanwhile. */
  createTableAsync(spec: TableSpec): Promise<{ table: TensorTable } | { fault: RecordFault }>;

  read(request: ReadRequest): Promise<void>;
  readSync(request: ReadRequest): void;
  unseal(request: UnsealRequest): Promise<void>;
  unsealSync(request: UnsealRequest): void;
  /**
   * Resolves to what the header needs, packed in the order of `items`: for an encrypted tensor `wrapped_key` (key
   * length), `key_iv` (12), `key_tag` (16), then version 1: `iv` (12), `tag` (16); version 2: `base_iv` (12), `tags`
   * (16 per chunk, one for an empty tensor). For a digested tensor 32 bytes per chunk, one for an empty tensor. For a
   * plain one nothing.
   */
  seal(request: SealRequest): Promise<Uint8Array>;
  sealSync(request: SealRequest): Uint8Array;

  /**
   * A zeroed buffer to read into, made by JavaScript, its data aligned to 2 MiB when it is that large (64 bytes
   * otherwise), huge pages asked for before the first touch. The view starts at the aligned offset. The library's own until
   * `letOut` (memory.ts).
   */
  allocate(byteLength: number, shared: boolean): Uint8Array;
  /**
   * The same, not shared, for a caller that overwrites every byte of the view or wipes it: the view may come with anything in it.
   * What lies around it in its buffer is zeroed.
   */
  allocateUnsafe(byteLength: number): Uint8Array;
  /** Overwrites with zeros in a way that is not optimised out, on the calling thread: for what is small. */
  wipe(bytes: Uint8Array): void;
  /**
   * The same by the pool's threads.
   *
   * @param release gives the pages back to the system as well; for memory that JavaScript allocated
   */
  wipeAll(bytes: Uint8Array, release: boolean): void;
  /** The same, for memory that is shared or the library's own. */
  wipeAllAsync(bytes: Uint8Array, release: boolean): Promise<void>;
  /** Gives the pages of memory that nobody looks at any more back to the system, where it has a call for that. */
  release(bytes: Uint8Array): void;
}
