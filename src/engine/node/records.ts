import { AEAD_KEY_BYTES, DIGEST_BYTES, IV_BYTES, RECORD_STRIDE, TAG_BYTES, wrappedDekBytes } from '../types.js';
import type { AeadAlgorithm, DigestAlgorithm, RecordFault, RecordField, TableSpec } from '../types.js';
import { checkAeadAlgorithm, checkDigestAlgorithm } from './arguments.js';
import { decodeStrict } from './base64.js';
import { chunkCount, counterHasRoom } from './chunks.js';

/** The records of `__encryption__`, decoded: flat arrays with one entry per row. */
export interface DecodedRecords {
  algorithm: AeadAlgorithm;
  chunkSize: number;
  rows: number;
  /** Row of each tensor, -1 for one that has none. */
  rowOf: Int32Array;
  /** Per row the wrapped DEK, its IV and its tag. */
  wrappedDeks: Uint8Array;
  ivs: Uint8Array;
  tags: Uint8Array[];
}

/** The digests of `__integrity__`, decoded. */
export interface DecodedDigests {
  algorithm: DigestAlgorithm;
  chunkSize: number;
  rowOf: Int32Array;
  digests: Uint8Array[];
}

const DIGEST_STRIDE = 3;

type Encryption = NonNullable<TableSpec['encryption']>;
type Integrity = NonNullable<TableSpec['integrity']>;

/**
 * Decodes the records strictly (FORMAT.md §2): exact lengths, one tag per chunk, a counter with room for every chunk.
 *
 * @param lengths of all tensors
 * @returns the first fault in the order of the rows, where there is one
 * @throws RangeError if the spec contradicts itself
 */
export function decodeRecords(encryption: Encryption, lengths: Float64Array): DecodedRecords | RecordFault {
  const { algorithm, version, chunkSize, records } = encryption;
  checkAeadAlgorithm(algorithm);
  if ((version as number) !== 1 && version !== 2) throw new RangeError('the version must be 1 or 2');
  if ((version === 2) !== chunkSize > 0) throw new RangeError('version 2, and only that, has a chunk size');
  const keyBytes = AEAD_KEY_BYTES[algorithm];
  const rowOf = rowsByTensor(records, RECORD_STRIDE, lengths.length);
  const rows = records.length / RECORD_STRIDE;
  const decoded: DecodedRecords = {
    algorithm,
    chunkSize,
    rows,
    rowOf,
    wrappedDeks: new Uint8Array(rows * wrappedDekBytes(algorithm)),
    ivs: new Uint8Array(rows * IV_BYTES),
    tags: [],
  };
  const reader = new RowReader(encryption.document, records, RECORD_STRIDE);
  for (let row = 0; row < rows; row++) {
    reader.row = row;
    const length = lengths[reader.tensor]!;
    const chunks = chunkCount(length, chunkSize);
    const wrapped = decoded.wrappedDeks.subarray(row * wrappedDekBytes(algorithm));
    const fault =
      reader.decodeInto('wrapped_key', 0, wrapped.subarray(0, keyBytes)) ??
      reader.decodeInto('key_iv', 1, wrapped.subarray(keyBytes, keyBytes + IV_BYTES)) ??
      reader.decodeInto('key_tag', 2, wrapped.subarray(keyBytes + IV_BYTES, wrappedDekBytes(algorithm)));
    if (fault !== null) return fault;
    // FORMAT.md §2, empty tensors: version 1 may have neither IV nor tag, and then there is nothing to check.
    if (version === 1 && length === 0 && reader.isEmpty(3) && reader.isEmpty(4)) {
      decoded.tags.push(new Uint8Array(0));
      continue;
    }
    const iv = decoded.ivs.subarray(row * IV_BYTES, (row + 1) * IV_BYTES);
    const ivFault = reader.decodeInto('iv', 3, iv);
    if (ivFault !== null) return ivFault;
    if (!counterHasRoom(iv, chunks)) {
      return { row, field: 'iv', problem: 'counter-overflow', found: 0, expected: 0 };
    }
    const tags = reader.decode('tag', 4, chunks * TAG_BYTES);
    if (!(tags instanceof Uint8Array)) return tags;
    decoded.tags.push(tags);
  }
  return decoded;
}

/**
 * Decodes the digests (FORMAT.md §5), one per chunk.
 *
 * @returns the first fault in the order of the rows, where there is one
 * @throws RangeError if the spec contradicts itself
 */
export function decodeDigests(integrity: Integrity, lengths: Float64Array): DecodedDigests | RecordFault {
  const { algorithm, chunkSize, records } = integrity;
  checkDigestAlgorithm(algorithm);
  if (!(chunkSize > 0)) throw new RangeError('digests need a chunk size');
  const rowOf = rowsByTensor(records, DIGEST_STRIDE, lengths.length);
  const digests: Uint8Array[] = [];
  const reader = new RowReader(integrity.document, records, DIGEST_STRIDE);
  for (let row = 0; row < records.length / DIGEST_STRIDE; row++) {
    reader.row = row;
    const length = lengths[reader.tensor]!;
    // An empty tensor may have the digest of no bytes, or none.
    if (length === 0 && reader.isEmpty(0)) {
      digests.push(new Uint8Array(0));
      continue;
    }
    const decoded = reader.decode('digests', 0, chunkCount(length, chunkSize) * DIGEST_BYTES);
    if (!(decoded instanceof Uint8Array)) return decoded;
    digests.push(decoded);
  }
  return { algorithm, chunkSize, rowOf, digests };
}

function rowsByTensor(records: Int32Array, stride: number, tensors: number): Int32Array {
  if (records.length % stride !== 0) throw new RangeError('the records do not come in whole rows');
  const rowOf = new Int32Array(tensors).fill(-1);
  for (let row = 0; row < records.length / stride; row++) {
    const tensor = records[row * stride]!;
    if (tensor < 0 || tensor >= tensors) throw new RangeError('a record names a tensor that is not there');
    if (rowOf[tensor] !== -1) throw new RangeError('a tensor has two records');
    rowOf[tensor] = row;
  }
  return rowOf;
}

/** Decodes the fields of one row after the other. */
class RowReader {
  row = 0;
  readonly #document: Buffer;
  readonly #records: Int32Array;
  readonly #stride: number;

  constructor(document: Uint8Array, records: Int32Array, stride: number) {
    this.#document = Buffer.from(document.buffer, document.byteOffset, document.byteLength);
    this.#records = records;
    this.#stride = stride;
  }

  get tensor(): number {
    return this.#records[this.row * this.#stride]!;
  }

  isEmpty(column: number): boolean {
    const [start, end] = this.#range(column);
    return start === end;
  }

  /** The bytes of a field, or what is wrong with it. A wrong length is reported as such only if the text is base64 at all. */
  decode(field: RecordField, column: number, expected: number): Uint8Array | RecordFault {
    const bytes = decodeStrict(this.#document, ...this.#range(column));
    if (bytes === null) return { row: this.row, field, problem: 'base64', found: 0, expected: 0 };
    if (bytes.byteLength !== expected)
      return { row: this.row, field, problem: 'length', found: bytes.byteLength, expected };
    return bytes;
  }

  /** The same into memory of the expected length. */
  decodeInto(field: RecordField, column: number, target: Uint8Array): RecordFault | null {
    const bytes = this.decode(field, column, target.byteLength);
    if (!(bytes instanceof Uint8Array)) return bytes;
    target.set(bytes);
    return null;
  }

  #range(column: number): [start: number, end: number] {
    const at = this.row * this.#stride + 1 + 2 * column;
    const start = this.#records[at]!;
    const end = this.#records[at + 1]!;
    if (start < 0 || end < start || end > this.#document.byteLength) {
      throw new RangeError("a record's text lies outside its document");
    }
    return [start, end];
  }
}
