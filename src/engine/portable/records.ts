import { decodeBase64Text } from '../../format/base64.js';
import { breathe, ITEMS_PER_BREATH } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { AEAD_KEY_BYTES, DIGEST_BYTES, DIGEST_STRIDE, IV_BYTES, RECORD_STRIDE } from '../../format/vocabulary.js';
import { chunkCount, TAG_BYTES, wrappedDekBytes } from '../../format/vocabulary.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../../format/vocabulary.js';
import type { RecordFault, RecordField, TableSpec } from '../types.js';
import { COUNTER_VALUES, counterOf } from './keys.js';
import { joined } from './primitives.js';
import type { Bytes } from './primitives.js';

/** Decoded records, each with its fields one after another. */
export interface Records<Algorithm> {
  algorithm: Algorithm;
  chunkSize: number;
  rows: Bytes[];
  /** Row of each tensor, -1 for one that has none. */
  rowOf: Int32Array;
}

/**
 * Decodes the records of `__encryption__` strictly (FORMAT.md §2): exact lengths, one tag per chunk, a counter with room for every
 * chunk. A row is the wrapped DEK with its IV and tag, the tensor's IV, and its tags.
 *
 * @param lengths of all tensors
 * @returns the first fault in the order of the rows, where there is one
 */
export function decodeRecords(
  { algorithm, version, chunkSize, document, records }: NonNullable<TableSpec['encryption']>,
  lengths: Float64Array,
): Twin<Records<AeadAlgorithm> | RecordFault> {
  return decode(algorithm, chunkSize, document, records, RECORD_STRIDE, lengths, (length, texts) => {
    const wrapped: Field[] = [
      ['wrapped_key', AEAD_KEY_BYTES[algorithm]],
      ['key_iv', IV_BYTES],
      ['key_tag', TAG_BYTES],
    ];
    // FORMAT.md §2, empty tensors: version 1 may have neither IV nor tag, and then there is nothing to check.
    if (version === 1 && length === 0 && texts[3]!.length + texts[4]!.length === 0) return wrapped;
    return [...wrapped, ['iv', IV_BYTES], ['tag', TAG_BYTES * chunkCount(length, chunkSize)]];
  });
}

/** Decodes the digests of `__integrity__` (FORMAT.md §5), one per chunk. An empty tensor may have that of no bytes, or none. */
export function decodeDigests(
  { algorithm, chunkSize, document, records }: NonNullable<TableSpec['integrity']>,
  lengths: Float64Array,
): Twin<Records<DigestAlgorithm> | RecordFault> {
  return decode(algorithm, chunkSize, document, records, DIGEST_STRIDE, lengths, (length, [text]) => [
    ['digests', length === 0 && text!.length === 0 ? 0 : DIGEST_BYTES * chunkCount(length, chunkSize)],
  ]);
}

type Field = [name: RecordField, byteLength: number];

function* decode<Algorithm>(
  algorithm: Algorithm,
  chunkSize: number,
  document: Uint8Array,
  records: Int32Array,
  stride: number,
  lengths: Float64Array,
  fieldsOf: (length: number, texts: Uint8Array[]) => Field[],
): Twin<Records<Algorithm> | RecordFault> {
  const rows: Bytes[] = [];
  const rowOf = new Int32Array(lengths.length).fill(-1);
  for (let row = 0; row < records.length / stride; row++) {
    if (row % ITEMS_PER_BREATH === 0) yield* breathe();
    const [tensor, ...ranges] = records.subarray(row * stride, (row + 1) * stride);
    const length = lengths[tensor!]!;
    const texts: Uint8Array[] = [];
    for (let i = 0; i < ranges.length; i += 2) texts.push(document.subarray(ranges[i], ranges[i + 1]));
    const parts: Bytes[] = [];
    for (const [field, expected] of fieldsOf(length, texts)) {
      const bytes = decodeBase64Text(texts[parts.length]!);
      // A wrong length is reported as such only if the text is base64 at all.
      if (bytes === null) return { row, field, problem: 'base64', found: 0, expected: 0 };
      const found = bytes.byteLength;
      if (found !== expected) return { row, field, problem: 'length', found, expected };
      if (field === 'iv' && counterOf(bytes) + chunkCount(length, chunkSize) > COUNTER_VALUES) {
        return { row, field, problem: 'counter-overflow', found: 0, expected: 0 };
      }
      parts.push(bytes);
    }
    rowOf[tensor!] = rows.length;
    rows.push(joined(parts));
  }
  return { algorithm, chunkSize, rows, rowOf };
}

/** Of a row of `__encryption__`: its wrapped DEK, the IV, and the tags. The latter two may be empty. */
export function partsOfRow(algorithm: AeadAlgorithm, row: Bytes): { wrapped: Bytes; iv: Bytes; tags: Bytes } {
  const end = wrappedDekBytes(algorithm);
  return { wrapped: row.subarray(0, end), iv: row.subarray(end, end + IV_BYTES), tags: row.subarray(end + IV_BYTES) };
}
