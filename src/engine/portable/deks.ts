import type { Twin } from '../../twin.js';
import { AEAD_KEY_BYTES, IV_BYTES, wrappedDekBytes } from '../../format/vocabulary.js';
import type { AeadAlgorithm } from '../../format/vocabulary.js';
import { slot } from './chunks.js';
import { pause } from './pause.js';
import { openMessage, sealMessage } from './primitives.js';
import type { Primitives } from './primitives.js';
import { keyMemory } from './secret.js';

type Bytes = Uint8Array<ArrayBuffer>;

/** DEKs that are wrapped or unwrapped without the event loop's having its turn. */
const DEKS_PER_TURN = 64;

/** Wraps each of the concatenated DEKs under an IV of its own: rows of DEK, IV and tag. */
export function* wrapDeks(
  primitives: Primitives,
  algorithm: AeadAlgorithm,
  master: Bytes,
  deks: Uint8Array,
): Twin<Bytes> {
  checkMaster(algorithm, master);
  const size = AEAD_KEY_BYTES[algorithm];
  if (deks.byteLength % size !== 0) throw new RangeError("the data keys' length does not fit the algorithm");
  const count = deks.byteLength / size;
  const rows = new Uint8Array(count * wrappedDekBytes(algorithm));
  const cipher = yield* primitives.cipher(algorithm, master);
  for (let i = 0; i < count; i++) {
    if (i > 0 && i % DEKS_PER_TURN === 0) yield* pause();
    const iv = primitives.randomFill(new Uint8Array(IV_BYTES));
    const { ciphertext, tag } = yield* sealMessage(cipher, iv, slot(deks, i, size));
    const row = slot(rows, i, wrappedDekBytes(algorithm));
    row.set(ciphertext);
    row.set(iv, size);
    row.set(tag, size + IV_BYTES);
  }
  return rows;
}

/** The concatenated DEKs, or the first row that does not unwrap. `rows` must be private memory. */
export function* unwrapDeks(
  primitives: Primitives,
  algorithm: AeadAlgorithm,
  master: Bytes,
  rows: Bytes,
): Twin<Bytes | number> {
  checkMaster(algorithm, master);
  const size = AEAD_KEY_BYTES[algorithm];
  const rowBytes = wrappedDekBytes(algorithm);
  if (rows.byteLength % rowBytes !== 0) throw new RangeError('the wrapped data keys do not come in whole rows');
  const cipher = yield* primitives.cipher(algorithm, master);
  const deks = keyMemory((rows.byteLength / rowBytes) * size);
  let done = false;
  try {
    for (let i = 0; i < rows.byteLength / rowBytes; i++) {
      if (i > 0 && i % DEKS_PER_TURN === 0) yield* pause();
      const row = slot(rows, i, rowBytes);
      const message = { ciphertext: row.subarray(0, size), tag: row.subarray(size + IV_BYTES) };
      const iv = row.subarray(size, size + IV_BYTES);
      if (!(yield* openMessage(cipher, iv, message, slot(deks, i, size)))) return i;
    }
    done = true;
    return deks;
  } finally {
    if (!done) deks.fill(0);
  }
}

function checkMaster(algorithm: AeadAlgorithm, master: Uint8Array): void {
  if (master.byteLength === AEAD_KEY_BYTES[algorithm]) return;
  throw new RangeError("the master key's length does not fit the algorithm");
}
