/** The files that the benchmark works on. */
import { createCipheriv, randomBytes, randomFillSync } from 'node:crypto';
import { closeSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { encryptFile, generateKeys, saveFile } from 'cryptotensors';
import { obtainMiniLm } from '../examples/lib/minilm.mjs';

const CHUNK = 2 * 2 ** 20;
/** A 16 MiB F32 matrix, as in a transformer with 2,048 channels. */
const ROWS = 2048;
const COLUMNS = 2048;
const TENSOR = ROWS * COLUMNS * 4;

/**
 * A model of about `size` bytes: 16 MiB tensors (smaller ones for a small model), plain, encrypted, and encrypted by hand.
 *
 * @param {string} folder
 * @param {number} size bytes
 */
export async function makeModel(folder, size) {
  const paths = Object.fromEntries(
    ['plain', 'encrypted', 'handmade', 'keys'].map((name) => [name, join(folder, `${name}-${size}`)]),
  );
  const rowBytes = COLUMNS * 4;
  const tensors = new Map();
  for (let at = 0; at < size; at += TENSOR) {
    const rows = Math.min(ROWS, (size - at) / rowBytes);
    const data = new Float32Array(rows * COLUMNS);
    // Only the first row differs: the data's content does not matter to a cipher, but equal tensors would hide a mix-up.
    randomFillSync(data);
    tensors.set(`w${at / TENSOR}`, { dtype: 'F32', shape: [rows, COLUMNS], data });
  }
  const jwks = generateKeys();
  writeFileSync(paths.keys, JSON.stringify(jwks));
  await saveFile(tensors, paths.plain);
  await encryptFile(paths.plain, paths.encrypted, { keys: paths.keys });
  const handmade = encryptByHand(paths.handmade, tensors);
  const [enc, sign] = [jwks.keys.find(({ kty }) => kty === 'oct'), jwks.keys.find(({ kty }) => kty === 'okp')];
  return {
    ...paths,
    bytes: size,
    jwks,
    handmade,
    reference: { enc_key: enc, sign_key: sign, enc_kid: enc.kid, sign_kid: sign.kid },
    remove: () => Object.values(paths).forEach((path) => rmSync(path)),
  };
}

/** A real model: see examples/lib/minilm.mjs. Offline, and for a quick run, one of the same shape. */
export async function makeMiniLm(folder, offline) {
  const { path: plain, origin } = await obtainMiniLm({ offline });
  const [encrypted, keys] = ['minilm', 'minilm-keys'].map((name) => join(folder, name));
  const jwks = generateKeys();
  writeFileSync(keys, JSON.stringify(jwks));
  await encryptFile(plain, encrypted, { keys });
  const label = `all-MiniLM-L6-v2${origin === 'generated' ? ' (its shape, generated)' : ''}`;
  return {
    plain,
    encrypted,
    keys,
    jwks,
    label,
    bytes: statSync(plain).size,
    remove: () => [encrypted, keys].forEach((file) => rmSync(file)),
  };
}

/** Chunks of AES-256-GCM, each followed by its tag, in the order in which the library lays the tensors out. */
function encryptByHand(path, tensors) {
  const key = randomBytes(32);
  const file = openSync(path, 'w');
  let chunk = 0;
  let pending = [];
  let pendingBytes = 0;
  const flush = () => {
    if (pendingBytes === 0) return;
    const iv = Buffer.alloc(12);
    iv.writeUInt32BE(chunk++, 8);
    const cipher = createCipheriv('aes-256-gcm', key, iv);
    for (const part of pending) writeSync(file, cipher.update(part));
    cipher.final();
    writeSync(file, cipher.getAuthTag());
    pending = [];
    pendingBytes = 0;
  };
  for (const name of [...tensors.keys()].sort()) {
    const { data } = tensors.get(name);
    const bytes = new Uint8Array(data.buffer);
    for (let at = 0; at < bytes.length;) {
      const part = bytes.subarray(at, at + CHUNK - pendingBytes);
      pending.push(part);
      pendingBytes += part.length;
      at += part.length;
      if (pendingBytes === CHUNK) flush();
    }
  }
  flush();
  closeSync(file);
  return { path, key: key.toString('hex'), chunkSize: CHUNK };
}

/** A file of very many small tensors, as fine-grained checkpoints have. */
export async function makeManyTensors(folder, count) {
  const path = join(folder, 'many');
  const keys = join(folder, 'many-keys');
  const jwks = generateKeys();
  writeFileSync(keys, JSON.stringify(jwks));
  const tensors = new Map(
    Array.from({ length: count }, (_, i) => [
      `model.layers.${i}.weight`,
      { dtype: 'F32', shape: [4], data: Float32Array.of(i, i + 1, i + 2, i + 3) },
    ]),
  );
  await saveFile(tensors, path, { keys });
  const name = `model.layers.${count >> 1}.weight`;
  return { path, keys, jwks, count, name, remove: () => [path, keys].forEach((file) => rmSync(file)) };
}
