import { decodeBase64Text } from '../../format/base64.js';
import type { Twin } from '../../twin.js';
import {
  AEAD_KEY_BYTES,
  DIGEST_BYTES,
  IV_BYTES,
  RECORD_STRIDE,
  TAG_BYTES,
  wrappedDekBytes,
  DIGEST_STRIDE,
} from '../../format/vocabulary.js';
import type { RecordFault, RecordField, TableSpec } from '../types.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../../format/vocabulary.js';
import { checkAeadAlgorithm, checkDigestAlgorithm } from './arguments.js';
import { counterHasRoom, slot } from './chunks.js';
import { chunkCount } from '../../format/vocabulary.js';
import { pause } from './pause.js';

type Bytes = Uint8Array<ArrayBuffer>;

/** The records of `__encryption__`, decoded: flat arrays with one entry per row. */
export interface DecodedRecords {
  algorithm: AeadAlgorithm;
  chunkSize: number;
  rows: number;
  /** Row of each tensor, -1 for one that has none. */
  rowOf: Int32Array;
  /** Per row the wrapped DEK, its IV and its tag. */
  wrappedDeks: Bytes;
  ivs: Bytes;
  tags: Bytes[];
}

/** The digests of `__integrity__`, decoded. */
export interface DecodedDigests {
  algorithm: DigestAlgorithm;
  chunkSize: number;
  rowOf: Int32Array;
  digests: Bytes[];
}

/** Rows that are decoded without the event loop's having its turn. */
const ROWS_PER_TURN = 1024;
const NOTHING = new Uint8Array(0);

/**
 * Decodes the records strictly (FORMAT.md §2): exact lengths, one tag per chunk, a counter with room for every chunk.
 *
 * @param lengths of all tensors
 * @returns the first fault in the order of the rows, where there is one
 * @throws RangeError if the spec contradicts itself
 */
export function* decodeRecords(
  { algorithm, version, chunkSize, document, records }: NonNullable<TableSpec['encryption']>,
  lengths: Float64Array,
): Twin<DecodedRecords | RecordFault> {
  checkAeadAlgorithm(algorithm);
  checkVersion(version, chunkSize);
  const keyBytes = AEAD_KEY_BYTES[algorithm];
  const rowOf = rowsByTensor(records, RECORD_STRIDE, lengths.length);
  const rows = records.length / RECORD_STRIDE;
  const wrappedDeks = new Uint8Array(rows * wrappedDekBytes(algorithm));
  const ivs = new Uint8Array(rows * IV_BYTES);
  const tags: Bytes[] = [];
  const reader = new RowReader(document, records, RECORD_STRIDE);
  for (let row = 0; row < rows; row++) {
    reader.row = row;
    if (row % ROWS_PER_TURN === ROWS_PER_TURN - 1) yield* pause();
    const length = lengths[reader.tensor]!;
    const chunks = chunkCount(length, chunkSize);
    const wrapped = slot(wrappedDeks, row, wrappedDekBytes(algorithm));
    const fault =
      reader.decodeInto('wrapped_key', 0, wrapped.subarray(0, keyBytes)) ??
      reader.decodeInto('key_iv', 1, wrapped.subarray(keyBytes, keyBytes + IV_BYTES)) ??
      reader.decodeInto('key_tag', 2, wrapped.subarray(keyBytes + IV_BYTES));
    if (fault !== null) return fault;
    // FORMAT.md §2, empty tensors: version 1 may have neither IV nor tag, and then there is nothing to check.
    if (version === 1 && length === 0 && reader.isEmpty(3) && reader.isEmpty(4)) {
      tags.push(NOTHING);
      continue;
    }
    const iv = slot(ivs, row, IV_BYTES);
    const ivFault = reader.decodeInto('iv', 3, iv);
    if (ivFault !== null) return ivFault;
    if (!counterHasRoom(iv, chunks)) {
      return { row, field: 'iv', problem: 'counter-overflow', found: 0, expected: 0 };
    }
    const decoded = reader.decode('tag', 4, chunks * TAG_BYTES);
    if (!(decoded instanceof Uint8Array)) return decoded;
    tags.push(decoded);
  }
  return { algorithm, chunkSize, rows, rowOf, wrappedDeks, ivs, tags };
}

/**
 * Decodes the digests (FORMAT.md §5), one per chunk.
 *
 * @returns the first fault in the order of the rows, where there is one
 * @throws RangeError if the spec contradicts itself
 */
export function* decodeDigests(
  { algorithm, chunkSize, document, records }: NonNullable<TableSpec['integrity']>,
  lengths: Float64Array,
): Twin<DecodedDigests | RecordFault> {
  checkDigestAlgorithm(algorithm);
  if (!(chunkSize > 0)) throw new RangeError('digests need a chunk size');
  const rowOf = rowsByTensor(records, DIGEST_STRIDE, lengths.length);
  const digests: Bytes[] = [];
  const reader = new RowReader(document, records, DIGEST_STRIDE);
  for (let row = 0; row < records.length / DIGEST_STRIDE; row++) {
    reader.row = row;
    if (row % ROWS_PER_TURN === ROWS_PER_TURN - 1) yield* pause();
    const length = lengths[reader.tensor]!;
    // An empty tensor may have the digest of no bytes, or none.
    const none = length === 0 && reader.isEmpty(0);
    const decoded = none ? NOTHING : reader.decode('digests', 0, chunkCount(length, chunkSize) * DIGEST_BYTES);
    if (!(decoded instanceof Uint8Array)) return decoded;
    digests.push(decoded);
  }
  return { algorithm, chunkSize, rowOf, digests };
}

/** @throws RangeError */
export function checkVersion(version: number, chunkSize: number): void {
  if (version !== 1 && version !== 2) throw new RangeError('the version must be 1 or 2');
  if ((version === 2) !== chunkSize > 0) throw new RangeError('version 2, and only that, has a chunk size');
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
  readonly #document: Uint8Array;
  readonly #records: Int32Array;
  readonly #stride: number;

  constructor(document: Uint8Array, records: Int32Array, stride: number) {
    this.#document = document;
    this.#records = records;
    this.#stride = stride;
  }

  get tensor(): number {
    return this.#records[this.row * this.#stride]!;
  }

  isEmpty(column: number): boolean {
    return this.#text(column).byteLength === 0;
  }

  /** The bytes of a field, or what is wrong with it. A wrong length is reported as such only if the text is base64 at all. */
  decode(field: RecordField, column: number, expected: number): Bytes | RecordFault {
    const bytes = decodeBase64Text(this.#text(column));
    if (bytes === null) return { row: this.row, field, problem: 'base64', found: 0, expected: 0 };
    const found = bytes.byteLength;
    return found === expected ? bytes : { row: this.row, field, problem: 'length', found, expected };
  }

  /** The same into memory of the expected length. */
  decodeInto(field: RecordField, column: number, target: Uint8Array): RecordFault | null {
    const bytes = this.decode(field, column, target.byteLength);
    if (!(bytes instanceof Uint8Array)) return bytes;
    target.set(bytes);
    return null;
  }

  #text(column: number): Uint8Array {
    const at = this.row * this.#stride + 1 + 2 * column;
    const start = this.#records[at]!;
    const end = this.#records[at + 1]!;
    if (start < 0 || end < start || end > this.#document.byteLength) {
      throw new RangeError("a record's text lies outside its document");
    }
    return this.#document.subarray(start, end);
  }
}
