import type { Addon, SourceHandle, TableOrFault } from './addon.js';
import { guarded, promised } from './native-fault.js';
import { NativeSink, NativeSource } from './files.js';
import { runJob, startJob, UNCONTROLLED } from './job.js';
import { allocated, checkMemory, checkSafe, isSafe, keepPrivate } from './memory.js';
import { handleOf } from './native-object.js';
import { NativeSecret } from './secret.js';
import { NativeSharing } from './sharing.js';
import { NativeTable } from './table.js';
import type {
  Engine,
  EngineFacts,
  EngineSharing,
  ReadRequest,
  RecordFault,
  SealRequest,
  SealedMessage,
  Secret,
  Sink,
  Source,
  TableSpec,
  TensorTable,
  UnsealRequest,
} from './types.js';
import type { AeadAlgorithm, AgreementCurve, DigestAlgorithm } from '../format/vocabulary.js';
import { withoutPrototype } from '../options.js';

const HUGE_PAGE_BYTES = 2 * 1024 * 1024;
/**
 * From here on C libraries take fresh pages from the system, which come zeroed at their first touch, on a pool thread. Smaller
 * pieces are reused ones, which JavaScript would clear on the event loop only for the read to fill them again.
 */
const FRESH_PAGES_BYTES = 32 * 1024 * 1024;
/** A cache line. */
const SMALL_ALIGNMENT = 64;

/** The engine that the addon is. */
export class NativeEngine implements Engine {
  readonly name = 'native';
  readonly sharing: EngineSharing;
  readonly #addon: Addon;

  constructor(addon: Addon) {
    this.#addon = addon;
    this.sharing = new NativeSharing(addon);
  }

  info(): EngineFacts {
    return { engine: 'native', ...this.#addon.info() };
  }

  importSecret(bytes: Uint8Array): Secret {
    return new NativeSecret(this.#addon, this.#addon.importSecret(bytes));
  }

  importSecretBase64(text: Uint8Array): Secret | null {
    const handle = this.#addon.importSecretBase64(text);
    return handle && new NativeSecret(this.#addon, handle);
  }

  randomSecret(byteLength: number): Secret {
    return new NativeSecret(this.#addon, this.#addon.randomSecret(byteLength));
  }

  exportSecret(secret: Secret): Uint8Array {
    return guarded(() => this.#addon.exportSecret(handleOf(secret, 'secret')));
  }

  secretsEqual(a: Secret, b: Secret): boolean {
    return guarded(() => this.#addon.secretsEqual(handleOf(a, 'secret'), handleOf(b, 'secret')));
  }

  wrapDeks(algorithm: AeadAlgorithm, master: Secret, deks: Secret): Uint8Array {
    return guarded(() => this.#addon.wrapDeks(algorithm, handleOf(master, 'secret'), handleOf(deks, 'secret')));
  }

  unwrapDeks(algorithm: AeadAlgorithm, master: Secret, rows: Uint8Array): { deks: Secret } | { row: number } {
    const unwrapped = guarded(() => this.#addon.unwrapDeks(algorithm, handleOf(master, 'secret'), rows));
    const { deks, row } = withoutPrototype(unwrapped);
    return deks === undefined ? { row } : { deks: new NativeSecret(this.#addon, deks) };
  }

  /** Not on another thread: it takes well under a microsecond per key. */
  wrapDeksAsync(algorithm: AeadAlgorithm, master: Secret, deks: Secret): Promise<Uint8Array> {
    return promised(() => this.wrapDeks(algorithm, master, deks));
  }

  unwrapDeksAsync(
    algorithm: AeadAlgorithm,
    master: Secret,
    rows: Uint8Array,
  ): Promise<{ deks: Secret } | { row: number }> {
    return promised(() => this.unwrapDeks(algorithm, master, rows));
  }

  ed25519PublicKey(seed: Secret): Uint8Array {
    return guarded(() => this.#addon.ed25519PublicKey(handleOf(seed, 'secret')));
  }

  ed25519Sign(seed: Secret, message: Uint8Array): Uint8Array {
    return guarded(() => this.#addon.ed25519Sign(handleOf(seed, 'secret'), message));
  }

  ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    return runJob(this.#addon, () => this.#addon.ed25519VerifyJob(publicKey, message, signature), UNCONTROLLED);
  }

  async ed25519VerifyAsync(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
    // The key and the signature are copied by the job.
    const text = isSafe(message) ? message : Uint8Array.from(message);
    return startJob(this.#addon, () => this.#addon.ed25519VerifyJob(publicKey, text, signature), UNCONTROLLED);
  }

  agreementPublicKey(curve: AgreementCurve, secret: Secret): Uint8Array | null {
    return guarded(() => this.#addon.agreementPublicKey(curve, handleOf(secret, 'secret')));
  }

  isAgreementPublicKey(curve: AgreementCurve, publicKey: Uint8Array): boolean {
    return this.#addon.isAgreementPublicKey(curve, publicKey);
  }

  agreeOnKey(curve: AgreementCurve, secret: Secret, peer: Uint8Array, info: Uint8Array): Secret | null {
    const handle = guarded(() => this.#addon.agreeOnKey(curve, handleOf(secret, 'secret'), peer, info));
    return handle && new NativeSecret(this.#addon, handle);
  }

  openMessage(key: Secret, { iv, additional, ciphertext, tag }: SealedMessage): Secret | null {
    const handle = guarded(() => this.#addon.openMessage(handleOf(key, 'secret'), iv, additional, ciphertext, tag));
    return handle && new NativeSecret(this.#addon, handle);
  }

  /** Not on another thread: it is the length of a key. */
  openMessageAsync(key: Secret, message: SealedMessage): Promise<Secret | null> {
    return promised(() => this.openMessage(key, message));
  }

  digest(algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array {
    return this.#addon.digest(algorithm, bytes);
  }

  async openFile(path: string): Promise<Source> {
    return this.#source(await startJob(this.#addon, () => this.#addon.openFileJob(path), UNCONTROLLED), path);
  }

  openFileSync(path: string): Source {
    return this.#source(
      runJob(this.#addon, () => this.#addon.openFileJob(path), UNCONTROLLED),
      path,
    );
  }

  openBytes(bytes: Uint8Array): Source {
    return this.#source(this.#addon.openBytes(bytes), undefined, bytes);
  }

  #source(handle: SourceHandle, path: string | undefined, memory: Uint8Array | null = null): Source {
    return new NativeSource(this.#addon, handle, path, memory);
  }

  async readRaw(source: Source, offset: number, destination: Uint8Array): Promise<void> {
    if (isBorrowed(source)) {
      this.readRawSync(source, offset, destination);
      return;
    }
    checkSafe(destination, 'the destination');
    await startJob(this.#addon, () => this.#readRawJob(source, offset, destination), UNCONTROLLED);
  }

  readRawSync(source: Source, offset: number, destination: Uint8Array): void {
    checkMemory(destination);
    runJob(this.#addon, () => this.#readRawJob(source, offset, destination), UNCONTROLLED);
  }

  #readRawJob(source: Source, offset: number, destination: Uint8Array) {
    return this.#addon.readRawJob(handleOf(source, 'source'), offset, destination);
  }

  map(source: Source, offset: number, length: number): Uint8Array {
    return guarded(() => this.#addon.mapSource(handleOf(source, 'source'), offset, length));
  }

  createFile(path: string, mode: number): Sink {
    return new NativeSink(
      this.#addon,
      guarded(() => this.#addon.createFile(path, mode)),
    );
  }

  get locksFiles(): boolean {
    return this.#addon.locksFiles;
  }

  removeAbandoned(path: string): boolean {
    return this.#addon.removeAbandoned(path);
  }

  memorySink(bytes: Uint8Array): Sink {
    checkMemory(bytes);
    return new NativeSink(this.#addon, this.#addon.memorySink(bytes), bytes);
  }

  createTable(spec: TableSpec): { table: TensorTable } | { fault: RecordFault } {
    const { dataStart, begin, end, encryption, integrity } = spec;
    return this.#table(this.#addon.createTable(dataStart, begin, end, encryption, integrity));
  }

  async createTableAsync(spec: TableSpec): Promise<{ table: TensorTable } | { fault: RecordFault }> {
    const { dataStart, begin, end, encryption, integrity } = spec;
    // The texts and records are the format layer's own: nobody else has them.
    const make = () => this.#addon.createTableJob(dataStart, begin, end, encryption, integrity);
    return this.#table(await startJob(this.#addon, make, UNCONTROLLED));
  }

  #table(made: TableOrFault): { table: TensorTable } | { fault: RecordFault } {
    const { table, fault } = withoutPrototype(made);
    return table === undefined ? { fault } : { table: new NativeTable(this.#addon, table) };
  }

  async read(request: ReadRequest): Promise<void> {
    checkSafe(request.destination, 'the destination');
    checkKept([request.source]);
    await startJob(this.#addon, () => this.#readJob(request), request);
  }

  readSync(request: ReadRequest): void {
    checkMemory(request.destination);
    runJob(this.#addon, () => this.#readJob(request), request);
  }

  #readJob({ table, source, destination, copies, threads }: ReadRequest) {
    return this.#addon.readJob(handleOf(table, 'table'), handleOf(source, 'source'), destination, copies, threads);
  }

  async unseal(request: UnsealRequest): Promise<void> {
    checkKept([request.source, request.sink]);
    await startJob(this.#addon, () => this.#unsealJob(request), request);
  }

  unsealSync(request: UnsealRequest): void {
    runJob(this.#addon, () => this.#unsealJob(request), request);
  }

  #unsealJob({ table, source, sink, tensors, threads }: UnsealRequest) {
    return this.#addon.unsealJob(
      handleOf(table, 'table'),
      handleOf(source, 'source'),
      handleOf(sink, 'sink'),
      tensors,
      threads,
    );
  }

  async seal(request: SealRequest): Promise<Uint8Array> {
    checkKept([...request.sources, request.sink]);
    return startJob(this.#addon, () => this.#sealJob(request), request);
  }

  sealSync(request: SealRequest): Uint8Array {
    return runJob(this.#addon, () => this.#sealJob(request), request);
  }

  #sealJob({ sources, sink, items, encryption, integrity, threads }: SealRequest) {
    return this.#addon.sealJob(
      sources.map((source) => handleOf(source, 'source')),
      handleOf(sink, 'sink'),
      items,
      encryption && { ...encryption, master: handleOf(encryption.master, 'secret') },
      integrity,
      threads,
    );
  }

  allocate(byteLength: number, shared: boolean): Uint8Array {
    const size = byteLength + alignmentOf(byteLength);
    const buffer = allocated(byteLength, () => (shared ? new SharedArrayBuffer(size) : new ArrayBuffer(size)));
    const bytes = this.#align(buffer, byteLength);
    return shared ? bytes : keepPrivate(bytes);
  }

  allocateUnsafe(byteLength: number): Uint8Array {
    const size = byteLength + alignmentOf(byteLength);
    if (size >= FRESH_PAGES_BYTES) return this.allocate(byteLength, false);
    const whole = allocated(byteLength, () => Buffer.allocUnsafeSlow(size));
    const view = this.#align(whole.buffer, byteLength);
    whole.fill(0, 0, view.byteOffset).fill(0, view.byteOffset + byteLength);
    return keepPrivate(view);
  }

  #align(buffer: ArrayBufferLike, byteLength: number): Uint8Array {
    return new Uint8Array(buffer, this.#addon.align(new Uint8Array(buffer), alignmentOf(byteLength)), byteLength);
  }

  wipe(bytes: Uint8Array): void {
    this.#addon.wipe(bytes);
  }

  wipeAll(bytes: Uint8Array, release: boolean): void {
    runJob(this.#addon, () => this.#addon.wipeJob(bytes, release), UNCONTROLLED);
  }

  async wipeAllAsync(bytes: Uint8Array, release: boolean): Promise<void> {
    checkSafe(bytes, 'what is to be wiped');
    await startJob(this.#addon, () => this.#addon.wipeJob(bytes, release), UNCONTROLLED);
  }

  release(bytes: Uint8Array): void {
    this.#addon.release(bytes);
  }
}

/** Whether it reads memory, or writes to memory, that can be taken away. */
function isBorrowed(place: Source | Sink): boolean {
  const memory = place instanceof NativeSource || place instanceof NativeSink ? place.memory : null;
  return memory !== null && !isSafe(memory);
}

function checkKept(places: readonly (Source | Sink)[]): void {
  for (const place of places) {
    if (place instanceof NativeSource || place instanceof NativeSink) {
      if (place.memory !== null) checkSafe(place.memory, 'what is read or written');
    }
  }
}

function alignmentOf(byteLength: number): number {
  return byteLength < HUGE_PAGE_BYTES ? SMALL_ALIGNMENT : HUGE_PAGE_BYTES;
}
