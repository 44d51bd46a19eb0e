import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { AEAD_KEY_BYTES, DIGEST_BYTES, IV_BYTES, TAG_BYTES } from '../../format/vocabulary.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../../format/vocabulary.js';
import type { RecordFault, Secret, TableSpec, TensorTable } from '../types.js';
import { counterOf, slot, unwrapDeks, withCounter } from './keys.js';
import { checkKind, ensure, isOffset } from './kind.js';
import { Lease } from './lease.js';
import type { Bytes, Primitives } from './primitives.js';
import { decodeDigests, decodeRecords } from './records.js';
import type { DigestRecords, SealedRecords } from './records.js';
import { copyOfKeys, keyMemory, PortableSecret, secretBytes } from './secret.js';
import { hasOwn } from '../../options.js';

/** What a chunk is checked with. Views, not copies. */
export type Check =
  | { kind: 'tag'; algorithm: AeadAlgorithm; dek: Bytes; iv: Bytes; tag: Bytes }
  | { kind: 'digest'; algorithm: DigestAlgorithm; digest: Bytes };

/** Where each tensor's bytes are, and what they are checked with. */
export class PortableTable extends Lease implements TensorTable {
  readonly count: number;
  readonly #primitives: Primitives;
  readonly #dataStart: number;
  readonly #begin: Float64Array;
  readonly #end: Float64Array;
  readonly #sealed: SealedRecords | null;
  readonly #digested: DigestRecords | null;
  /** One DEK per row of the records; empty until they are unwrapped. In an object, for whoever wipes them. */
  readonly #deks: { bytes: Bytes };

  constructor(primitives: Primitives, spec: TableSpec, sealed: SealedRecords | null, digested: DigestRecords | null) {
    const deks = { bytes: keyMemory(0) };
    super('table', () => deks.bytes.fill(0));
    this.#deks = deks;
    this.count = spec.begin.length;
    this.#primitives = primitives;
    this.#dataStart = spec.dataStart;
    this.#begin = spec.begin.slice();
    this.#end = spec.end.slice();
    this.#sealed = sealed;
    this.#digested = digested;
  }

  unwrap(master: Secret): number {
    return runSync(this.#unwrap(master));
  }

  unwrapAsync(master: Secret): Promise<number> {
    return runAsync(this.#unwrap(master));
  }

  *#unwrap(secret: Secret): Twin<number> {
    this.assertOpen();
    const master = copyOfKeys(secretBytes(secret, 'master'));
    try {
      if (this.#dekBytes === 0) return -1;
      this.#assertWrapped();
      const { algorithm, wrappedDeks } = this.#sealed!;
      return yield* Lease.using([this], () => this.#unwrapAll(algorithm, master, wrappedDeks));
    } finally {
      master.fill(0);
    }
  }

  *#unwrapAll(algorithm: AeadAlgorithm, master: Bytes, rows: Bytes): Twin<number> {
    const unwrapped = yield* unwrapDeks(this.#primitives, algorithm, master, rows);
    if (typeof unwrapped === 'number') return unwrapped;
    this.#take(unwrapped);
    return -1;
  }

  /** They may have been installed while others were unwrapped. */
  #take(deks: Bytes): void {
    try {
      this.#assertWrapped();
    } catch (error) {
      deks.fill(0);
      throw error;
    }
    this.#deks.bytes = deks;
  }

  wrappedDeks(): Uint8Array {
    this.assertOpen();
    return this.#sealed?.wrappedDeks.slice() ?? new Uint8Array(0);
  }

  installDeks(deks: Secret): void {
    this.assertOpen();
    const bytes = secretBytes(deks, 'deks');
    ensure(bytes.byteLength === this.#dekBytes, "the data keys' length does not fit the records and the algorithm");
    if (this.#dekBytes > 0) this.#take(copyOfKeys(bytes));
  }

  exportDeks(): Secret {
    this.assertOpen();
    if (this.#dekBytes > 0 && !this.unwrapped) throw new Error('the data keys have not been unwrapped');
    return new PortableSecret(copyOfKeys(this.#deks.bytes));
  }

  dispose(): void {
    this.close();
  }

  /** Bytes of all DEKs. */
  get #dekBytes(): number {
    return this.#sealed === null ? 0 : this.#sealed.tags.length * AEAD_KEY_BYTES[this.#sealed.algorithm];
  }

  #assertWrapped(): void {
    if (this.unwrapped) throw new Error('the data keys have been unwrapped already');
  }

  /** Whether sealed tensors can be read. */
  get unwrapped(): boolean {
    return this.#deks.bytes.byteLength > 0;
  }

  length(tensor: number): number {
    return this.#end[tensor]! - this.#begin[tensor]!;
  }

  /** Absolute position in the source. */
  position(tensor: number): number {
    return this.#dataStart + this.#begin[tensor]!;
  }

  isSealed(tensor: number): boolean {
    return this.#sealed !== null && this.#sealed.rowOf[tensor]! >= 0;
  }

  /** Bytes per chunk; null where nothing is checked together. 0: all is one chunk. */
  chunkSize(tensor: number): number | null {
    if (this.isSealed(tensor)) return this.#sealed!.chunkSize;
    return this.#digested !== null && this.#digested.rowOf[tensor]! >= 0 ? this.#digested.chunkSize : null;
  }

  /** Null where there is nothing to check: unprotected bytes, an empty tensor without tag or digest. */
  check(tensor: number, chunk: number): Check | null {
    if (this.isSealed(tensor)) {
      const { algorithm, rowOf, ivs, tags } = this.#sealed!;
      const row = rowOf[tensor]!;
      if (tags[row]!.byteLength === 0) return null;
      const baseIv = slot(ivs, row, IV_BYTES);
      return {
        kind: 'tag',
        algorithm,
        dek: slot(this.#deks.bytes, row, AEAD_KEY_BYTES[algorithm]),
        iv: withCounter(baseIv, counterOf(baseIv) + chunk),
        tag: slot(tags[row]!, chunk, TAG_BYTES),
      };
    }
    if (this.chunkSize(tensor) === null) return null;
    const { algorithm, rowOf, digests } = this.#digested!;
    const all = digests[rowOf[tensor]!]!;
    return all.byteLength === 0 ? null : { kind: 'digest', algorithm, digest: slot(all, chunk, DIGEST_BYTES) };
  }
}

/** The table behind the interface. */
export function portableTable(table: TensorTable): PortableTable {
  if (table instanceof PortableTable) return table;
  throw new TypeError('table must be a tensor table made by this engine');
}

/** @throws RangeError if the spec contradicts itself */
export function* createTable(
  primitives: Primitives,
  spec: TableSpec,
): Twin<{ table: TensorTable } | { fault: RecordFault }> {
  const { dataStart, begin, end, encryption, integrity } = spec;
  checkKind(begin, 'Float64Array', 'begin');
  checkKind(end, 'Float64Array', 'end');
  ensure(begin.length === end.length, 'a table needs as many ends as beginnings');
  ensure(isOffset(dataStart), 'dataStart must be an exact offset');
  for (let i = 0; i < begin.length; i++) {
    ensure(isOffset(begin[i]!) && isOffset(end[i]!), 'a tensor has bounds that are no exact offsets');
    ensure(
      begin[i]! <= end[i]! && isOffset(dataStart + end[i]!),
      'a tensor ends before it begins or beyond every file',
    );
  }
  const lengths = end.map((value, i) => value - begin[i]!);
  const sealed = encryption === null ? null : yield* decodeRecords(encryption, lengths);
  if (sealed !== null && hasOwn(sealed, 'problem')) return { fault: sealed };
  const digested = integrity === null ? null : yield* decodeDigests(integrity, lengths);
  if (digested !== null && hasOwn(digested, 'problem')) return { fault: digested };
  return { table: new PortableTable(primitives, spec, sealed, digested) };
}
