/** What somebody who stores or transports a file could do to it. */
import { open } from 'node:fs/promises';

/**
 * Flips one bit of a file.
 *
 * @param {string} path
 * @param {number} position of the byte
 */
export async function flipBit(path, position) {
  await edit(path, async (file) => {
    const byte = new Uint8Array(1);
    await file.read(byte, 0, 1, position);
    byte[0] ^= 1;
    await file.write(byte, 0, 1, position);
  });
}

/**
 * Takes everything about encryption out of the header, so that the file is a valid plain safetensors file full of ciphertext.
 *
 * @param {string} path
 */
export async function stripEncryption(path) {
  await edit(path, async (file) => {
    const length = Buffer.alloc(8);
    await file.read(length, 0, 8, 0);
    const text = Buffer.alloc(Number(length.readBigUInt64LE()));
    await file.read(text, 0, text.length, 8);
    const { __metadata__: metadata, ...tensors } = JSON.parse(text.toString());
    const kept = Object.fromEntries(Object.entries(metadata).filter(([key]) => !key.startsWith('__')));
    const stripped = JSON.stringify({ __metadata__: kept, ...tensors }).padEnd(text.length);
    await file.write(Buffer.from(stripped), 0, text.length, 8);
  });
}

/** @param {string} path @param {(file: import('node:fs/promises').FileHandle) => Promise<void>} change */
async function edit(path, change) {
  const file = await open(path, 'r+');
  try {
    await change(file);
  } finally {
    await file.close();
  }
}
