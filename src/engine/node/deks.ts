import { randomFillSync } from 'node:crypto';
import { AEAD_KEY_BYTES, IV_BYTES, wrappedDekBytes } from '../types.js';
import type { AeadAlgorithm, Secret } from '../types.js';
import { openMessage, sealMessage } from './aead.js';
import { checkAeadAlgorithm, checkBytes } from './arguments.js';
import { keyMemory, NodeSecret, secretBytes } from './secret.js';

/** Wraps each of the concatenated DEKs under an IV of its own. */
export function wrapDeks(algorithm: AeadAlgorithm, master: Secret, deks: Secret): Uint8Array {
  checkAeadAlgorithm(algorithm);
  const key = masterBytes(algorithm, secretBytes(master, 'master'));
  const plain = secretBytes(deks, 'deks');
  const size = AEAD_KEY_BYTES[algorithm];
  if (plain.byteLength % size !== 0) throw new RangeError("the data keys' length does not fit the algorithm");
  const count = plain.byteLength / size;
  const ivs = randomFillSync(new Uint8Array(count * IV_BYTES));
  const rows = new Uint8Array(count * wrappedDekBytes(algorithm));
  for (let i = 0; i < count; i++) {
    const iv = ivs.subarray(i * IV_BYTES, (i + 1) * IV_BYTES);
    const { ciphertext, tag } = sealMessage(algorithm, key, iv, plain.subarray(i * size, (i + 1) * size));
    const row = rows.subarray(i * wrappedDekBytes(algorithm));
    row.set(ciphertext);
    row.set(iv, size);
    row.set(tag, size + IV_BYTES);
  }
  return rows;
}

export function unwrapDeks(
  algorithm: AeadAlgorithm,
  master: Secret,
  rows: Uint8Array,
): { deks: Secret } | { row: number } {
  checkAeadAlgorithm(algorithm);
  checkBytes(rows, 'rows');
  // A copy: shared memory may change between verifying and decrypting.
  const unwrapped = openDeks(algorithm, secretBytes(master, 'master'), Uint8Array.from(rows));
  return typeof unwrapped === 'number' ? { row: unwrapped } : { deks: new NodeSecret(unwrapped) };
}

/** The concatenated DEKs, or the first row that does not unwrap. */
export function openDeks(
  algorithm: AeadAlgorithm,
  master: Uint8Array,
  rows: Uint8Array,
): Uint8Array<ArrayBuffer> | number {
  const key = masterBytes(algorithm, master);
  const size = AEAD_KEY_BYTES[algorithm];
  const rowBytes = wrappedDekBytes(algorithm);
  if (rows.byteLength % rowBytes !== 0) throw new RangeError('the wrapped data keys do not come in whole rows');
  const deks = keyMemory((rows.byteLength / rowBytes) * size);
  for (let i = 0; i < rows.byteLength / rowBytes; i++) {
    const row = rows.subarray(i * rowBytes, (i + 1) * rowBytes);
    const message = { ciphertext: row.subarray(0, size), tag: row.subarray(size + IV_BYTES) };
    const dek = deks.subarray(i * size, (i + 1) * size);
    if (!openMessage(algorithm, key, row.subarray(size, size + IV_BYTES), message, dek)) {
      deks.fill(0);
      return i;
    }
  }
  return deks;
}

function masterBytes(algorithm: AeadAlgorithm, master: Uint8Array): Uint8Array {
  if (master.byteLength === AEAD_KEY_BYTES[algorithm]) return master;
  throw new RangeError("the master key's length does not fit the algorithm");
}
