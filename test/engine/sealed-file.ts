import { SEAL_STRIDE, SealMode } from '#dist/engine/types.js';
import { AEAD_KEY_BYTES, COPY_STRIDE, DIGEST_BYTES, IV_BYTES, TAG_BYTES } from '#dist/format/vocabulary.js';
import type { Engine, ReadRequest, Secret, Source, TableSpec, TensorTable } from '#dist/engine/types.js';
import type { AeadAlgorithm, DigestAlgorithm } from '#dist/format/vocabulary.js';
import { keepPrivate } from '#dist/engine/memory.js';

/** Memory that the engine may work on while JavaScript runs: the test leaves it alone. */
export const kept = keepPrivate;

/** Whether a failed read left nothing in memory that was filled with `poison` before. */
export function isUntold(bytes: Uint8Array, poison: number): boolean {
  return bytes.every((byte) => byte === 0 || byte === poison);
}

export const NO_CONTROL = { threads: 0, signal: undefined, onProgress: undefined };

/** How tensors are stored. */
export interface Protection {
  mode: (typeof SealMode)[keyof typeof SealMode];
  algorithm?: AeadAlgorithm;
  version?: 1 | 2;
  digest?: DigestAlgorithm;
  /** Of tags and digests; 0 for version 1. */
  chunkSize?: number;
}

/** Tensors one after the other, as the data section of a file would have them. */
export interface SealedTensors {
  table: TensorTable;
  /** What is stored. */
  stored: Uint8Array;
  lengths: readonly number[];
  begin: readonly number[];
  spec: TableSpec;
  master: Secret;
}

/** Seals tensors into memory and makes the table that a reader of their header would make. */
export function sealTensors(engine: Engine, tensors: readonly Uint8Array[], protection: Protection): SealedTensors {
  const algorithm = protection.algorithm ?? 'aes256gcm';
  const version = protection.version ?? 2;
  const chunkSize = protection.chunkSize ?? (version === 1 ? 0 : 2 ** 21);
  const lengths = tensors.map((tensor) => tensor.byteLength);
  const begin = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, n) => sum + n, 0));
  const stored = kept(new Uint8Array(lengths.reduce((sum, n) => sum + n, 0)));
  const master = engine.randomSecret(AEAD_KEY_BYTES[algorithm]);
  const items = new Float64Array(tensors.length * SEAL_STRIDE);
  for (const [i, length] of lengths.entries()) items.set([i, 0, length, begin[i]!, protection.mode], i * SEAL_STRIDE);
  const packed = engine.sealSync({
    ...NO_CONTROL,
    sources: tensors.map((tensor) => engine.openBytes(tensor)),
    sink: engine.memorySink(stored),
    items,
    encryption: { algorithm, version, chunkSize, master },
    integrity: { algorithm: protection.digest ?? 'blake3', chunkSize: Math.max(chunkSize, 1) },
  });
  const spec: TableSpec = {
    dataStart: 0,
    begin: Float64Array.from(begin),
    end: Float64Array.from(begin, (offset, i) => offset + lengths[i]!),
    encryption: null,
    integrity: null,
  };
  const chunks = lengths.map((length) => (version === 1 ? 1 : Math.max(1, Math.ceil(length / Math.max(chunkSize, 1)))));
  if (protection.mode === SealMode.encrypt) {
    const fields = chunks.map((n) => [AEAD_KEY_BYTES[algorithm], IV_BYTES, TAG_BYTES, IV_BYTES, TAG_BYTES * n]);
    spec.encryption = { algorithm, version, chunkSize, ...recordsOf(packed, fields) };
  } else if (protection.mode === SealMode.digest) {
    const fields = chunks.map((n) => [DIGEST_BYTES * n]);
    spec.integrity = { algorithm: protection.digest ?? 'blake3', chunkSize, ...recordsOf(packed, fields) };
  }
  return { table: openTable(engine, spec, master), stored, lengths, begin, spec, master };
}

/** Base64 texts and the rows that point at them, from bytes packed in the order of `fields`. */
export function recordsOf(
  packed: Uint8Array,
  fields: readonly (readonly number[])[],
): { document: Uint8Array; records: Int32Array } {
  const texts: string[] = [];
  const rows: number[] = [];
  let at = 0;
  let end = 0;
  for (const [row, sizes] of fields.entries()) {
    rows.push(row);
    for (const size of sizes) {
      const text = Buffer.from(packed.subarray(at, at + size)).toString('base64');
      texts.push(text);
      rows.push(end, end + text.length);
      at += size;
      end += text.length;
    }
  }
  return { document: Buffer.from(texts.join('')), records: Int32Array.from(rows) };
}

export function openTable(engine: Engine, spec: TableSpec, master: Secret): TensorTable {
  const made = engine.createTable(spec);
  if ('fault' in made) throw new Error(`row ${made.fault.row}: ${made.fault.field}: ${made.fault.problem}`);
  const row = made.table.unwrap(master);
  if (row !== -1) throw new Error(`row ${row} does not unwrap`);
  return made.table;
}

/** Rows of `ReadRequest.copies`. */
export function copiesOf(
  ...rows: readonly (readonly [tensor: number, start: number, length: number, destination: number])[]
): Float64Array {
  const copies = new Float64Array(rows.length * COPY_STRIDE);
  for (const [i, row] of rows.entries()) copies.set(row, i * COPY_STRIDE);
  return copies;
}

/** A request for all tensors, one behind the other. */
export function readAll(sealed: SealedTensors, source: Source, destination: Uint8Array): ReadRequest {
  const copies = copiesOf(...sealed.lengths.map((length, i) => [i, 0, length, sealed.begin[i]!] as const));
  return { ...NO_CONTROL, table: sealed.table, source, destination: kept(destination), copies };
}

/** What a job failed with. */
export async function faultOf(job: Promise<unknown>): Promise<unknown> {
  return job.then(
    () => {
      throw new Error('the job should have failed');
    },
    (error: unknown) => error,
  );
}

export const isZero = (bytes: Uint8Array): boolean => Buffer.compare(bytes, Buffer.alloc(bytes.byteLength)) === 0;

/** Bytes that show where they come from. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let x = seed;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}
