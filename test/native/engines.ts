import { randomBytes } from 'node:crypto';
import { getEngine } from '#dist/engine/load.js';
import { SealMode } from '#dist/engine/types.js';
import { AEAD_KEY_BYTES, IV_BYTES, TAG_BYTES } from '#dist/format/vocabulary.js';
import type { Engine } from '#dist/engine/types.js';
import type { AeadAlgorithm } from '#dist/format/vocabulary.js';
import { describe, expect, it } from 'vitest';
import { Random } from '../support/random.js';
import { chunkIv, nodeOpen, nodeSeal, openWithEngine } from './sealed.js';

const ROUNDS = 150;
const POISON = 0xaa;

/** Lengths around the blocks of the ciphers, and any other. */
function length(random: Random, limit: number): number {
  return random.integer(0, 2) === 0 ? random.integer(0, 70) : random.integer(0, limit);
}

function nodeSealChunks(algorithm: AeadAlgorithm, key: Uint8Array, baseIv: Uint8Array, plaintext: Uint8Array, chunkSize: number) {
  const ciphertext: Buffer[] = [];
  const tags: Buffer[] = [];
  for (let i = 0; i < chunkCount(plaintext.length, chunkSize); i++) {
    const sealed = nodeSeal(algorithm, key, chunkIv(baseIv, i), plaintext.subarray(i * chunkSize, (i + 1) * chunkSize));
    ciphertext.push(sealed.ciphertext);
    tags.push(sealed.tag);
  }
  return { ciphertext: Buffer.concat(ciphertext), tags: Buffer.concat(tags) };
}

function chunkCount(bytes: number, chunkSize: number): number {
  return Math.max(1, Math.ceil(bytes / chunkSize));
}

/** Seals through the engine, and returns what the header would say. */
function sealWithEngine(engine: Engine, algorithm: AeadAlgorithm, plaintext: Uint8Array, chunkSize: number | null) {
  const master = randomBytes(AEAD_KEY_BYTES[algorithm]);
  const secret = engine.importSecret(master);
  const ciphertext = new Uint8Array(plaintext.length);
  const packed = engine.sealSync({
    sources: [engine.openBytes(plaintext)],
    sink: engine.memorySink(ciphertext),
    items: Float64Array.of(0, 0, plaintext.length, 0, SealMode.encrypt),
    encryption: { algorithm, version: chunkSize === null ? 1 : 2, chunkSize: chunkSize ?? 0, master: secret },
    integrity: null,
    threads: 0,
    signal: undefined,
    onProgress: undefined,
  });
  secret.dispose();
  const lengths = [AEAD_KEY_BYTES[algorithm], IV_BYTES, TAG_BYTES, IV_BYTES, TAG_BYTES * (chunkSize === null ? 1 : chunkCount(plaintext.length, chunkSize))];
  expect(packed.length).toBe(lengths.reduce((sum, n) => sum + n, 0));
  let at = 0;
  const [wrapped, keyIv, keyTag, iv, tags] = lengths.map((n) => packed.subarray(at, (at += n))) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  return { key: nodeOpen(algorithm, master, keyIv, wrapped, keyTag), iv, tags, ciphertext };
}

/** The engine against node:crypto, on random input. Both providers agree with it, so they agree with each other. */
export function describeAgainstNode(): void {
  const engine = getEngine();

  describe.each(['aes128gcm', 'aes256gcm', 'chacha20poly1305'] as const)('%s against node:crypto', (algorithm) => {
    it('opens what node:crypto sealed, whole and in chunks', () => {
      const random = new Random(1);
      for (let round = 0; round < ROUNDS; round++) {
        const plaintext = randomBytes(length(random, 200_000));
        const chunkSize = random.integer(0, 3) === 0 ? undefined : random.integer(1 + (plaintext.length >> 8), plaintext.length + 16);
        const key = randomBytes(AEAD_KEY_BYTES[algorithm]);
        const iv = randomBytes(IV_BYTES);
        // Room for the counter.
        iv[8]! &= 0x7f;
        const { ciphertext, tags } = nodeSealChunks(algorithm, key, iv, plaintext, chunkSize ?? Math.max(1, plaintext.length));
        const destination = new Uint8Array(plaintext.length).fill(POISON);
        const fault = openWithEngine(engine, { algorithm, key, iv, tags, ciphertext, ...(chunkSize === undefined ? {} : { chunkSize }) }, destination);
        expect(fault).toBeNull();
        expect(Buffer.compare(destination, plaintext), `${plaintext.length} bytes in chunks of ${chunkSize ?? 'all'}`).toBe(0);
      }
    });

    it('refuses what node:crypto sealed once a bit of it has changed, and leaves nothing of it', () => {
      const random = new Random(2);
      for (let round = 0; round < ROUNDS; round++) {
        const plaintext = randomBytes(1 + length(random, 50_000));
        const chunkSize = random.integer(1 + (plaintext.length >> 8), plaintext.length + 16);
        const key = randomBytes(AEAD_KEY_BYTES[algorithm]);
        const iv = randomBytes(IV_BYTES);
        iv[8]! &= 0x7f;
        const { ciphertext, tags } = nodeSealChunks(algorithm, key, iv, plaintext, chunkSize);
        const victim = [ciphertext, tags, iv, key][round % 4]!;
        // The highest bit of the counter would make it overflow, which is found earlier.
        const at = victim === iv ? random.integer(0, 7) : random.integer(0, victim.length - 1);
        victim[at]! ^= 1 << random.integer(0, 7);
        const destination = new Uint8Array(plaintext.length).fill(POISON);
        const fault = openWithEngine(engine, { algorithm, key, iv, tags, ciphertext, chunkSize }, destination);
        expect(fault).toMatchObject({ code: 'BadTag', tensor: 0 });
        if (victim === ciphertext) expect(fault!.chunk).toBe(Math.floor(at / chunkSize));
        if (victim === tags) expect(fault!.chunk).toBe(Math.floor(at / TAG_BYTES));
        expect(destination.every((byte) => byte === 0 || byte === POISON)).toBe(true);
      }
    });

    it('seals what node:crypto opens, with a fresh key and IV each time', () => {
      const random = new Random(3);
      const seen = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        const plaintext = randomBytes(length(random, 200_000));
        const chunkSize = random.integer(0, 3) === 0 ? null : random.integer(1 + (plaintext.length >> 8), plaintext.length + 16);
        const { key, iv, tags, ciphertext } = sealWithEngine(engine, algorithm, plaintext, chunkSize);
        const piece = chunkSize ?? Math.max(1, plaintext.length);
        for (let i = 0; i < chunkCount(plaintext.length, piece); i++) {
          const chunk = ciphertext.subarray(i * piece, (i + 1) * piece);
          const opened = nodeOpen(algorithm, key, chunkIv(iv, i), chunk, tags.subarray(i * TAG_BYTES, (i + 1) * TAG_BYTES));
          expect(Buffer.compare(opened, plaintext.subarray(i * piece, (i + 1) * piece))).toBe(0);
        }
        seen.add(key.toString('hex')).add(Buffer.from(iv).toString('hex'));
      }
      expect(seen.size).toBe(2 * ROUNDS);
    });
  });
}
