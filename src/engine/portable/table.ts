import { hasOwn } from '../../options.js';
import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { AEAD_KEY_BYTES, DIGEST_BYTES, TAG_BYTES } from '../../format/vocabulary.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../../format/vocabulary.js';
import type { RecordFault, Secret, TableSpec, TensorTable } from '../types.js';
import { counterOf, ensure, slot, unwrapDeks, withCounter } from './keys.js';
import { Lease } from './lease.js';
import { joined } from './primitives.js';
import type { Bytes, Primitives } from './primitives.js';
import { decodeDigests, decodeRecords, partsOfRow } from './records.js';
import type { Records } from './records.js';
import { copyOfKeys, keyMemory, PortableSecret, secretBytes, withKeys } from './secret.js';

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
  readonly #sealed: Records<AeadAlgorithm> | null;
  readonly #digested: Records<DigestAlgorithm> | null;
  /** One DEK per row of the records; empty until they are unwrapped. In an object, for whoever wipes them. */
  readonly #deks: { bytes: Bytes };

  constructor(
    primitives: Primitives,
    spec: TableSpec,
    sealed: Records<AeadAlgorithm> | null,
    digested: Records<DigestAlgorithm> | null,
  ) {
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
    return runSync(withKeys([['master', master]], (key) => this.#unwrap(key)));
  }

  unwrapAsync(master: Secret): Promise<number> {
    return runAsync(withKeys([['master', master]], (key) => this.#unwrap(key)));
  }

  #unwrap(master: Bytes): Twin<number> {
    return Lease.using([this], () => this.#unwrapAll(master));
  }

  *#unwrapAll(master: Bytes): Twin<number> {
    if (this.#dekBytes === 0) return -1;
    this.#assertWrapped();
    const { algorithm } = this.#sealed!;
    const unwrapped = yield* unwrapDeks(this.#primitives, algorithm, master, this.#wrappedDeks());
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
    return this.#wrappedDeks();
  }

  #wrappedDeks(): Bytes {
    const { rows, algorithm } = this.#sealed ?? { rows: [], algorithm: 'aes256gcm' };
    return joined(rows.map((row) => partsOfRow(algorithm, row).wrapped));
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
    return this.#sealed === null ? 0 : this.#sealed.rows.length * AEAD_KEY_BYTES[this.#sealed.algorithm];
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
      const { algorithm, rowOf, rows } = this.#sealed!;
      const row = rowOf[tensor]!;
      const { iv, tags } = partsOfRow(algorithm, rows[row]!);
      if (tags.byteLength === 0) return null;
      return {
        kind: 'tag',
        algorithm,
        dek: slot(this.#deks.bytes, row, AEAD_KEY_BYTES[algorithm]),
        iv: withCounter(iv, counterOf(iv) + chunk),
        tag: slot(tags, chunk, TAG_BYTES),
      };
    }
    if (this.chunkSize(tensor) === null) return null;
    const { algorithm, rowOf, rows } = this.#digested!;
    const digests = rows[rowOf[tensor]!]!;
    return digests.byteLength === 0 ? null : { kind: 'digest', algorithm, digest: slot(digests, chunk, DIGEST_BYTES) };
  }
}

export function* createTable(
  primitives: Primitives,
  spec: TableSpec,
): Twin<{ table: TensorTable } | { fault: RecordFault }> {
  const { begin, end, encryption, integrity } = spec;
  const lengths = end.map((value, i) => value - begin[i]!);
  const sealed = encryption && (yield* decodeRecords(encryption, lengths));
  if (sealed !== null && hasOwn(sealed, 'problem')) return { fault: sealed };
  const digested = integrity && (yield* decodeDigests(integrity, lengths));
  if (digested !== null && hasOwn(digested, 'problem')) return { fault: digested };
  return { table: new PortableTable(primitives, spec, sealed, digested) };
}
