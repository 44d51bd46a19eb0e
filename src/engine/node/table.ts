import { AEAD_KEY_BYTES, IV_BYTES } from '../types.js';
import type { AeadAlgorithm, DigestAlgorithm, RecordFault, Secret, TableSpec, TensorTable } from '../types.js';
import { checkBytes, checkFloat64, checkInt32, isOffset } from './arguments.js';
import { openDeks } from './deks.js';
import { Lease } from './lease.js';
import { decodeDigests, decodeRecords } from './records.js';
import type { DecodedDigests, DecodedRecords } from './records.js';
import { copyOfKeys, keyMemory, NodeSecret, secretBytes } from './secret.js';

/** What protects a tensor's bytes. */
export type Protection = 'tag' | 'digest' | 'none';

/** Where each tensor's bytes are, and what they are checked with. */
export class NodeTable implements TensorTable {
  readonly lease: Lease;
  readonly count: number;
  readonly #dataStart: number;
  readonly #begin: Float64Array;
  readonly #end: Float64Array;
  readonly #sealed: DecodedRecords | null;
  readonly #digested: DecodedDigests | null;
  /** One DEK per row of the records; empty until they are unwrapped. In an object, so that the lease can wipe them. */
  readonly #deks: { bytes: Uint8Array };

  constructor(spec: TableSpec, sealed: DecodedRecords | null, digested: DecodedDigests | null) {
    this.count = spec.begin.length;
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
    this.lease.assertOpen();
    const key = secretBytes(master, 'master');
    if (this.#sealed === null || this.#sealed.rows === 0) return -1;
    this.#assertWrapped();
    const unwrapped = openDeks(this.#sealed.algorithm, key, this.#sealed.wrappedDeks);
    if (typeof unwrapped === 'number') return unwrapped;
    this.#deks.bytes = unwrapped;
    return -1;
  }

  async unwrapAsync(master: Secret): Promise<number> {
    await Promise.resolve();
    return this.unwrap(master);
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
    if (expected === 0) return;
    this.#assertWrapped();
    this.#deks.bytes = copyOfKeys(bytes);
  }

  exportDeks(): Secret {
    this.lease.assertOpen();
    if (this.#sealed !== null && this.#sealed.rows > 0 && !this.unwrapped) {
      throw new Error('the data keys have not been unwrapped');
    }
    return new NodeSecret(copyOfKeys(this.#deks.bytes));
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

  protection(tensor: number): Protection {
    if (this.#sealed !== null && this.#sealed.rowOf[tensor]! >= 0) return 'tag';
    return this.#digested !== null && this.#digested.rowOf[tensor]! >= 0 ? 'digest' : 'none';
  }

  get algorithm(): AeadAlgorithm | null {
    return this.#sealed?.algorithm ?? null;
  }

  get digestAlgorithm(): DigestAlgorithm | null {
    return this.#digested?.algorithm ?? null;
  }

  /** Of a tensor that is protected. */
  chunkSize(tensor: number): number {
    return this.protection(tensor) === 'tag' ? this.#sealed!.chunkSize : this.#digested!.chunkSize;
  }

  /** Of a sealed tensor: a view, not a copy. */
  dek(tensor: number): Uint8Array {
    return slot(this.#deks.bytes, this.#sealed!.rowOf[tensor]!, AEAD_KEY_BYTES[this.#sealed!.algorithm]);
  }

  /** Of a sealed tensor: its IV or base IV. */
  iv(tensor: number): Uint8Array {
    return slot(this.#sealed!.ivs, this.#sealed!.rowOf[tensor]!, IV_BYTES);
  }

  /** Of a sealed tensor: all its tags. None for an empty tensor of version 1 without one. */
  tags(tensor: number): Uint8Array {
    return this.#sealed!.tags[this.#sealed!.rowOf[tensor]!]!;
  }

  /** Of a digested tensor: all its digests. None for an empty tensor without one. */
  digests(tensor: number): Uint8Array {
    return this.#digested!.digests[this.#digested!.rowOf[tensor]!]!;
  }
}

/** The `size` bytes of entry `index` in a packed array. */
function slot(bytes: Uint8Array, index: number, size: number): Uint8Array {
  return bytes.subarray(index * size, (index + 1) * size);
}

/** The table behind the interface. */
export function nodeTable(table: TensorTable): NodeTable {
  if (table instanceof NodeTable) return table;
  throw new TypeError('table must be a tensor table made by this engine');
}

/** @throws RangeError if the spec contradicts itself */
export function createTable(spec: TableSpec): { table: TensorTable } | { fault: RecordFault } {
  checkLayout(spec);
  const lengths = spec.end.map((end, i) => end - spec.begin[i]!);
  const sealed = spec.encryption === null ? null : decodeRecords(spec.encryption, lengths);
  if (sealed !== null && 'problem' in sealed) return { fault: sealed };
  const digested = spec.integrity === null ? null : decodeDigests(spec.integrity, lengths);
  if (digested !== null && 'problem' in digested) return { fault: digested };
  return { table: new NodeTable(spec, sealed, digested) };
}

/** On this thread all the same: what is decoded here would have to be copied to another thread and back. */
export async function createTableAsync(spec: TableSpec): Promise<{ table: TensorTable } | { fault: RecordFault }> {
  await Promise.resolve();
  return createTable(spec);
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
