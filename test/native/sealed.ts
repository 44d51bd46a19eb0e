import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { AEAD_KEY_BYTES, IV_BYTES, TAG_BYTES } from '#dist/format/vocabulary.js';
import type { Engine, JobFault, Secret, TableSpec, TensorTable } from '#dist/engine/types.js';
import type { AeadAlgorithm } from '#dist/format/vocabulary.js';

/** The independent implementation that the engines are held against: Node's own. */
const NODE_CIPHERS = { aes128gcm: 'aes-128-gcm', aes256gcm: 'aes-256-gcm', chacha20poly1305: 'chacha20-poly1305' } as const;

export function nodeSeal(algorithm: AeadAlgorithm, key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): { ciphertext: Buffer; tag: Buffer } {
  // One of the three names at a time; the types know each of them by itself only.
  const cipher = createCipheriv(NODE_CIPHERS[algorithm] as 'aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return { ciphertext, tag: cipher.getAuthTag() };
}

/** @throws if the tag does not match */
export function nodeOpen(algorithm: AeadAlgorithm, key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array, tag: Uint8Array): Buffer {
  const decipher = createDecipheriv(NODE_CIPHERS[algorithm] as 'aes-256-gcm', key, iv, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(tag);
  return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
}

/** IV of chunk `index`: the last 32 bits of the base IV are a counter (FORMAT.md §2). */
export function chunkIv(baseIv: Uint8Array, index: number): Buffer {
  const iv = Buffer.from(baseIv);
  iv.writeUInt32BE(iv.readUInt32BE(8) + index, 8);
  return iv;
}

/** A tensor as it is stored: its own key, its ciphertext, and what the header says of it. */
export interface SealedTensor {
  algorithm: AeadAlgorithm;
  /** DEK. */
  key: Uint8Array;
  /** IV (version 1) or base IV (version 2). */
  iv: Uint8Array;
  /** All tags, concatenated. */
  tags: Uint8Array;
  ciphertext: Uint8Array;
  /** Version 2; undefined: version 1. */
  chunkSize?: number;
}

/** Reads a sealed tensor through the engine: a file of that tensor alone, its DEK wrapped by node:crypto. */
export function openWithEngine(engine: Engine, tensor: SealedTensor, destination: Uint8Array): JobFault | null {
  const master = randomBytes(AEAD_KEY_BYTES[tensor.algorithm]);
  const table = tableOf(engine, tensor, master);
  const secret: Secret = engine.importSecret(master);
  const source = engine.openBytes(tensor.ciphertext);
  try {
    if (table.unwrap(secret) !== -1) throw new Error('the DEK does not unwrap');
    engine.readSync({
      table,
      source,
      destination,
      copies: Float64Array.of(0, 0, destination.byteLength, 0),
      threads: 0,
      signal: undefined,
      onProgress: undefined,
    });
    return null;
  } catch (error) {
    if (typeof (error as JobFault).tensor === 'number') return error as JobFault;
    throw error;
  } finally {
    source.close();
    table.dispose();
    secret.dispose();
  }
}

function tableOf(engine: Engine, tensor: SealedTensor, master: Uint8Array): TensorTable {
  const keyIv = randomBytes(IV_BYTES);
  const wrapped = nodeSeal(tensor.algorithm, master, keyIv, tensor.key);
  let document = '';
  const row = [0];
  for (const field of [wrapped.ciphertext, keyIv, wrapped.tag, tensor.iv, tensor.tags]) {
    row.push(document.length);
    document += Buffer.from(field).toString('base64');
    row.push(document.length);
  }
  const spec: TableSpec = {
    dataStart: 0,
    begin: Float64Array.of(0),
    end: Float64Array.of(tensor.ciphertext.byteLength),
    encryption: {
      algorithm: tensor.algorithm,
      version: tensor.chunkSize === undefined ? 1 : 2,
      chunkSize: tensor.chunkSize ?? 0,
      document: new TextEncoder().encode(document),
      records: Int32Array.from(row),
    },
    integrity: null,
  };
  const made = engine.createTable(spec);
  if ('table' in made) return made.table;
  throw new Error(`${made.fault.field}: ${made.fault.problem}`);
}
