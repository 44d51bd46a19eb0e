import { randomBytes } from 'node:crypto';
import { SealMode } from '#dist/engine/types.js';
import { AEAD_KEY_BYTES, DIGEST_BYTES, IV_BYTES, TAG_BYTES } from '#dist/format/vocabulary.js';
import type { Engine, JobFault, Secret, TableSpec, TensorTable } from '#dist/engine/types.js';
import type { AeadAlgorithm, DigestAlgorithm } from '#dist/format/vocabulary.js';
import { expect } from 'vitest';

export const ALGORITHMS: readonly AeadAlgorithm[] = ['aes128gcm', 'aes256gcm', 'chacha20poly1305'];

/** What a request says besides what it is about. */
export const PLAINLY = { threads: 0, signal: undefined, onProgress: undefined } as const;

export interface Protection {
  algorithm: AeadAlgorithm;
  /** 0: version 1. */
  chunkSize: number;
  /** Of the tensors that stay plain. */
  integrity?: { algorithm: DigestAlgorithm; chunkSize: number } | null;
}

export type Mode = keyof typeof SealMode;

export interface PlainTensor {
  bytes: Uint8Array;
  mode: Mode;
}

/** Tensors as they are stored one after the other, and what a header would say of them. */
export interface SealedFile {
  stored: Uint8Array;
  master: Uint8Array;
  /** Base64 text per field, by tensor: wrapped_key, key_iv, key_tag, iv, tags; or digests; or nothing. */
  fields: string[][];
  protection: Protection;
  tensors: readonly PlainTensor[];
}

export function chunkCount(length: number, chunkSize: number): number {
  return chunkSize === 0 ? 1 : Math.max(1, Math.ceil(length / chunkSize));
}

/** Bytes that are different at every position, and in every tensor. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = seed * 2654435761; i < length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

/** Rows for `SealRequest.items`: every tensor of one source that holds them one after the other. */
export function itemsOf(tensors: readonly PlainTensor[]): Float64Array {
  const rows: number[] = [];
  let at = 0;
  for (const { bytes, mode } of tensors) {
    rows.push(0, at, bytes.length, at, SealMode[mode]);
    at += bytes.length;
  }
  return Float64Array.from(rows);
}

/** What the engine is told about protection. */
export function sealOptions({ algorithm, chunkSize, integrity = null }: Protection, master: Secret) {
  return { encryption: { algorithm, version: chunkSize === 0 ? 1 : 2, chunkSize, master } as const, integrity };
}

export function seal(engine: Engine, tensors: readonly PlainTensor[], protection: Protection): SealedFile {
  const master = new Uint8Array(randomBytes(AEAD_KEY_BYTES[protection.algorithm]));
  const plaintext = Buffer.concat(tensors.map(({ bytes }) => bytes));
  const stored = new Uint8Array(plaintext.length);
  const packed = engine.sealSync({
    sources: [engine.openBytes(plaintext)],
    sink: engine.memorySink(stored),
    items: itemsOf(tensors),
    ...sealOptions(protection, engine.importSecret(master)),
    ...PLAINLY,
  });
  return { stored, master, fields: unpack(packed, tensors, protection), protection, tensors };
}

/** The fields of each tensor out of what `seal` returns. */
export function unpack(
  packed: Uint8Array,
  tensors: readonly PlainTensor[],
  { algorithm, chunkSize, integrity }: Protection,
): string[][] {
  let at = 0;
  const take = (length: number) => Buffer.from(packed.subarray(at, (at += length))).toString('base64');
  const fields = tensors.map(({ bytes, mode }) => {
    if (mode === 'encrypt') {
      const tags = TAG_BYTES * chunkCount(bytes.length, chunkSize);
      return [AEAD_KEY_BYTES[algorithm], IV_BYTES, TAG_BYTES, IV_BYTES, tags].map(take);
    }
    return mode === 'digest' ? [take(DIGEST_BYTES * chunkCount(bytes.length, integrity!.chunkSize))] : [];
  });
  expect(at).toBe(packed.length);
  return fields;
}

/** The table's spec as the reader would make it. */
export function specOf(
  { tensors, fields, protection }: Pick<SealedFile, 'tensors' | 'fields' | 'protection'>,
  dataStart = 0,
): TableSpec {
  const { algorithm, chunkSize, integrity } = protection;
  let document = '';
  const rowsOf = (mode: Mode) =>
    Int32Array.from(
      tensors.flatMap((tensor, i) => {
        if (tensor.mode !== mode) return [];
        return [i, ...fields[i]!.flatMap((text) => [document.length, (document += text).length])];
      }),
    );
  const records = rowsOf('encrypt');
  const digests = rowsOf('digest');
  const bytes = Buffer.from(document, 'latin1');
  const end = Float64Array.from(
    tensors,
    (
      (sum) =>
      ({ bytes: { length } }: PlainTensor) =>
        (sum += length)
    )(0),
  );
  return {
    dataStart,
    begin: end.map((value, i) => value - tensors[i]!.bytes.length),
    end,
    encryption: { algorithm, version: chunkSize === 0 ? 1 : 2, chunkSize, document: bytes, records },
    integrity: integrity ? { ...integrity, document: bytes, records: digests } : null,
  };
}

/** A table with its DEKs unwrapped. */
export function openTable(engine: Engine, file: SealedFile, dataStart = 0): TensorTable {
  const made = engine.createTable(specOf(file, dataStart));
  if (!('table' in made)) throw new Error(`${made.fault.field}: ${made.fault.problem}`);
  const master = engine.importSecret(file.master);
  expect(made.table.unwrap(master)).toBe(-1);
  master.dispose();
  return made.table;
}

/** Copies of all tensors, one after the other. */
export function wholeCopies(tensors: readonly PlainTensor[]): Float64Array {
  let at = 0;
  return Float64Array.from(
    tensors.flatMap(({ bytes: { length } }, i) => {
      at += length;
      return [i, 0, length, at - length];
    }),
  );
}

/** The `JobFault` that `work` throws or rejects with. */
export async function faultOf(work: () => unknown): Promise<JobFault> {
  try {
    await work();
  } catch (error) {
    if (typeof (error as JobFault).tensor === 'number') return error as JobFault;
    throw error;
  }
  return expect.fail('expected a fault');
}
