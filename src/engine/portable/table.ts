import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { AEAD_KEY_BYTES, DIGEST_BYTES, IV_BYTES, TAG_BYTES } from '../../format/vocabulary.js';
import type { RecordFault, Secret, TableSpec, TensorTable } from '../types.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../../format/vocabulary.js';
import { checkBytes, checkFloat64, checkInt32, isOffset } from './arguments.js';
import { chunkIv, slot } from './chunks.js';
import { unwrapDeks } from './deks.js';
import { Lease } from './lease.js';
import type { Primitives } from './primitives.js';
import { decodeDigests, decodeRecords } from './records.js';
import type { DecodedDigests, DecodedRecords } from './records.js';
import { copyOfKeys, keyMemory, PortableSecret, secretBytes } from './secret.js';

type Bytes = Uint8Array<ArrayBuffer>;

/** What a chunk is checked with. */
export type Check =
  | { kind: 'tag'; algorithm: AeadAlgorithm; dek: Bytes; iv: Bytes; tag: Bytes }
  | { kind: 'digest'; algorithm: DigestAlgorithm; digest: Bytes };

/** Where each tensor's bytes are, and what they are checked with. */
export class PortableTable implements TensorTable {
  readonly lease: Lease;
  readonly count: number;
  readonly #primitives: Primitives;
  readonly #dataStart: number;
  readonly #begin: Float64Array;
  readonly #end: Float64Array;
  readonly #sealed: DecodedRecords | null;
  readonly #digested: DecodedDigests | null;
  /** One DEK per row of the records; empty until they are unwrapped. In an object, so that the lease can wipe them. */
  readonly #deks: { bytes: Bytes };

  constructor(primitives: Primitives, spec: TableSpec, sealed: DecodedRecords | null, digested: DecodedDigests | null) {
    this.count = spec.begin.length;
    this.#primitives = primitives;
    this.#dataStart = spec.dataStart;
    this.#begin = spec.begin.slice();
    this.#end = spec.end.slice();
    this.#sealed = sealed;
    this.#digested = digested;
    const deks = { bytes: keyMemory(0) };
    this.#deks = deks;
    this.lease = new Lease('table', this, () => deks.bytes.fill(0));
  }

  unwrap(master: Secret): number {
    return runSync(this.#unwrap(master));
  }

  unwrapAsync(master: Secret): Promise<number> {
    return runAsync(this.#unwrap(master));
  }

  *#unwrap(secret: Secret): Twin<number> {
    this.lease.assertOpen();
    const master = copyOfKeys(secretBytes(secret, 'master'));
    this.lease.use();
    try {
      if (this.#sealed === null || this.#sealed.rows === 0) return -1;
      this.#assertWrapped();
      const unwrapped = yield* unwrapDeks(this.#primitives, this.#sealed.algorithm, master, this.#sealed.wrappedDeks);
      if (typeof unwrapped === 'number') return unwrapped;
      this.#take(unwrapped);
      return -1;
    } finally {
      master.fill(0);
      this.lease.done();
    }
  }

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
    this.lease.assertOpen();
    return this.#sealed?.wrappedDeks.slice() ?? new Uint8Array(0);
  }

  installDeks(deks: Secret): void {
    this.lease.assertOpen();
    const bytes = secretBytes(deks, 'deks');
    const expected = this.#sealed === null ? 0 : this.#sealed.rows * AEAD_KEY_BYTES[this.#sealed.algorithm];
    if (bytes.byteLength !== expected) {
      throw new RangeError("the data keys' length does not fit the records and the algorithm");
    }
    if (expected > 0) this.#take(copyOfKeys(bytes));
  }

  exportDeks(): Secret {
    this.lease.assertOpen();
    if (this.#sealed !== null && this.#sealed.rows > 0 && !this.unwrapped) {
      throw new Error('the data keys have not been unwrapped');
    }
    return new PortableSecret(copyOfKeys(this.#deks.bytes));
  }

  #assertWrapped(): void {
    if (this.unwrapped) throw new Error('the data keys have been unwrapped already');
  }

  dispose(): void {
    this.lease.close();
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

  /** Null where there is nothing to check: unprotected bytes, an empty tensor without tag or digest. Views, not copies. */
  check(tensor: number, chunk: number): Check | null {
    if (this.isSealed(tensor)) {
      const { algorithm, rowOf, ivs, tags } = this.#sealed!;
      const row = rowOf[tensor]!;
      if (tags[row]!.byteLength === 0) return null;
      const iv = chunkIv(slot(ivs, row, IV_BYTES), chunk);
      const dek = slot(this.#deks.bytes, row, AEAD_KEY_BYTES[algorithm]);
      return { kind: 'tag', algorithm, dek, iv, tag: slot(tags[row]!, chunk, TAG_BYTES) };
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
  checkLayout(spec);
  const lengths = spec.end.map((end, i) => end - spec.begin[i]!);
  const sealed = spec.encryption === null ? null : yield* decodeRecords(spec.encryption, lengths);
  if (sealed !== null && 'problem' in sealed) return { fault: sealed };
  const digested = spec.integrity === null ? null : yield* decodeDigests(spec.integrity, lengths);
  if (digested !== null && 'problem' in digested) return { fault: digested };
  return { table: new PortableTable(primitives, spec, sealed, digested) };
}

function checkLayout({ dataStart, begin, end, encryption, integrity }: TableSpec): void {
  checkFloat64(begin, 'begin');
  checkFloat64(end, 'end');
  for (const section of [encryption, integrity]) {
    if (section === null) continue;
    checkBytes(section.document, 'document');
    checkInt32(section.records, 'records');
  }
  if (begin.length !== end.length) throw new RangeError('a table needs as many ends as beginnings');
  if (!isOffset(dataStart)) throw new RangeError('dataStart must be an exact offset');
  for (let i = 0; i < begin.length; i++) {
    if (!isOffset(begin[i]!) || !isOffset(end[i]!))
      throw new RangeError('a tensor has bounds that are no exact offsets');
    if (end[i]! < begin[i]!) throw new RangeError('a tensor ends before it begins');
    if (!isOffset(dataStart + end[i]!)) throw new RangeError('a tensor ends beyond every file');
  }
}
