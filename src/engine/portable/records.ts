import { decodeBase64Text } from '../../format/base64.js';
import { breathe, ITEMS_PER_BREATH } from '../../twin.js';
import type { Twin } from '../../twin.js';
import {
  AEAD_ALGORITHMS,
  AEAD_KEY_BYTES,
  DIGEST_ALGORITHMS,
  DIGEST_BYTES,
  DIGEST_STRIDE,
} from '../../format/vocabulary.js';
import { chunkCount, IV_BYTES, RECORD_STRIDE, TAG_BYTES, wrappedDekBytes } from '../../format/vocabulary.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../../format/vocabulary.js';
import type { RecordFault, RecordField, TableSpec } from '../types.js';
import { COUNTER_VALUES, counterOf } from './keys.js';
import { checkKind, checkOneOf, ensure } from './kind.js';
import { NOTHING } from './primitives.js';
import type { Bytes } from './primitives.js';

/** The records of `__encryption__`, decoded: one entry per row. */
export interface SealedRecords {
  algorithm: AeadAlgorithm;
  chunkSize: number;
  /** Row of each tensor, -1 for one that has none. */
  rowOf: Int32Array;
  /** Per row the wrapped DEK, its IV and its tag. */
  wrappedDeks: Bytes;
  ivs: Bytes;
  tags: Bytes[];
}

/** The digests of `__integrity__`, decoded. */
export interface DigestRecords {
  algorithm: DigestAlgorithm;
  chunkSize: number;
  rowOf: Int32Array;
  digests: Bytes[];
}

/** The fields of a row of `__encryption__`, in its order; first those that make up a wrapped DEK. */
const FIELDS = ['wrapped_key', 'key_iv', 'key_tag', 'iv', 'tag'] as const;
const WRAPPED_FIELDS = 3;
const [IV, TAG] = [3, 4];

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
): Twin<SealedRecords | RecordFault> {
  checkOneOf(algorithm, AEAD_ALGORITHMS, 'algorithm');
  checkVersion(version, chunkSize);
  const reader = new RowReader(document, records, RECORD_STRIDE, lengths.length);
  const { rows, rowOf } = reader;
  const wrappedDeks = new Uint8Array(rows * wrappedDekBytes(algorithm));
  const ivs = new Uint8Array(rows * IV_BYTES);
  const tags: Bytes[] = [];
  for (let row = 0; row < rows; row++) {
    if (row % ITEMS_PER_BREATH === 0) yield* breathe();
    const length = lengths[reader.tensor(row)]!;
    const chunks = chunkCount(length, chunkSize);
    const sizes = [AEAD_KEY_BYTES[algorithm], IV_BYTES, TAG_BYTES, IV_BYTES, TAG_BYTES * chunks];
    // FORMAT.md §2, empty tensors: version 1 may have neither IV nor tag, and then there is nothing to check.
    const isBare = version === 1 && length === 0 && reader.isEmpty(row, IV) && reader.isEmpty(row, TAG);
    let at = row * wrappedDekBytes(algorithm);
    let last = NOTHING;
    for (let column = 0; column < (isBare ? WRAPPED_FIELDS : FIELDS.length); column++) {
      const bytes = reader.decode(row, column, FIELDS[column]!, sizes[column]!);
      if (!(bytes instanceof Uint8Array)) return bytes;
      if (column < WRAPPED_FIELDS) {
        wrappedDeks.set(bytes, at);
        at += bytes.byteLength;
      } else if (column === IV) {
        if (counterOf(bytes) + chunks > COUNTER_VALUES) {
          return { row, field: 'iv', problem: 'counter-overflow', found: 0, expected: 0 };
        }
        ivs.set(bytes, row * IV_BYTES);
      } else {
        last = bytes;
      }
    }
    tags.push(last);
  }
  return { algorithm, chunkSize, rowOf, wrappedDeks, ivs, tags };
}

/** Decodes the digests (FORMAT.md §5), one per chunk; otherwise as `decodeRecords`. */
export function* decodeDigests(
  { algorithm, chunkSize, document, records }: NonNullable<TableSpec['integrity']>,
  lengths: Float64Array,
): Twin<DigestRecords | RecordFault> {
  checkIntegrity(algorithm, chunkSize);
  const reader = new RowReader(document, records, DIGEST_STRIDE, lengths.length);
  const digests: Bytes[] = [];
  for (let row = 0; row < reader.rows; row++) {
    if (row % ITEMS_PER_BREATH === 0) yield* breathe();
    const length = lengths[reader.tensor(row)]!;
    // An empty tensor may have the digest of no bytes, or none.
    const expected = length === 0 && reader.isEmpty(row, 0) ? 0 : chunkCount(length, chunkSize) * DIGEST_BYTES;
    const decoded = reader.decode(row, 0, 'digests', expected);
    if (!(decoded instanceof Uint8Array)) return decoded;
    digests.push(decoded);
  }
  return { algorithm, chunkSize, rowOf: reader.rowOf, digests };
}

/** @throws RangeError */
export function checkVersion(version: number, chunkSize: number): void {
  ensure(version === 1 || version === 2, 'the version must be 1 or 2');
  ensure((version === 2) === chunkSize > 0, 'version 2, and only that, has a chunk size');
}

/** @throws TypeError, RangeError */
export function checkIntegrity(algorithm: DigestAlgorithm, chunkSize: number): void {
  checkOneOf(algorithm, DIGEST_ALGORITHMS, 'algorithm');
  ensure(chunkSize > 0, 'digests need a chunk size');
}

/** Rows of a tensor's index and, for each column, where in the document its text stands. */
class RowReader {
  readonly rows: number;
  readonly rowOf: Int32Array;
  readonly #document: Uint8Array;
  readonly #records: Int32Array;
  readonly #stride: number;

  constructor(document: Uint8Array, records: Int32Array, stride: number, tensors: number) {
    checkKind(document, 'Uint8Array', 'document');
    checkKind(records, 'Int32Array', 'records');
    ensure(records.length % stride === 0, 'the records do not come in whole rows');
    this.rows = records.length / stride;
    this.rowOf = new Int32Array(tensors).fill(-1);
    this.#document = document;
    this.#records = records;
    this.#stride = stride;
    for (let row = 0; row < this.rows; row++) {
      const tensor = this.tensor(row);
      ensure(tensor >= 0 && tensor < tensors, 'a record names a tensor that is not there');
      ensure(this.rowOf[tensor] === -1, 'a tensor has two records');
      this.rowOf[tensor] = row;
    }
  }

  tensor(row: number): number {
    return this.#records[row * this.#stride]!;
  }

  isEmpty(row: number, column: number): boolean {
    return this.#text(row, column).byteLength === 0;
  }

  /** The bytes of a field, or what is wrong with it. A wrong length is reported as such only if the text is base64 at all. */
  decode(row: number, column: number, field: RecordField, expected: number): Bytes | RecordFault {
    const bytes = decodeBase64Text(this.#text(row, column));
    if (bytes === null) return { row, field, problem: 'base64', found: 0, expected: 0 };
    const found = bytes.byteLength;
    return found === expected ? bytes : { row, field, problem: 'length', found, expected };
  }

  #text(row: number, column: number): Uint8Array {
    const at = row * this.#stride + 1 + 2 * column;
    const [start, end] = [this.#records[at]!, this.#records[at + 1]!];
    const isInside = start >= 0 && end >= start && end <= this.#document.byteLength;
    ensure(isInside, "a record's text lies outside its document");
    return this.#document.subarray(start, end);
  }
}
