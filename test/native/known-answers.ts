import { readFileSync } from 'node:fs';
import { getEngine } from '#dist/engine/load.js';
import type { AeadProvider } from '#dist/engine/types.js';
import type { AeadAlgorithm, DigestAlgorithm } from '#dist/format/vocabulary.js';
import { describe, expect, it } from 'vitest';
import { describeAgainstNode } from './engines.js';
import { nodeOpen, openWithEngine } from './sealed.js';

interface AeadCase {
  id: string;
  algorithm: AeadAlgorithm;
  key: string;
  iv: string;
  /** Of a valid case. */
  plaintext?: string;
  ciphertext: string;
  tag: string;
  valid: boolean;
}

interface SignatureCase {
  id: string;
  seed?: string;
  publicKey: string;
  message: string;
  signature: string;
  valid: boolean;
}

interface DigestCase {
  id: string;
  /** Hexadecimal; or `length` bytes, each of them its index modulo 251. */
  message?: string;
  length?: number;
  digest: string;
}

function casesOf<Case>(file: string): Case[] {
  const url = new URL(`../known-answers/${file}.json`, import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { cases: Case[] }).cases;
}

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** Published answers, through the engine with one implementation of the AEADs. */
export function describeKnownAnswers(provider: AeadProvider | 'node:crypto'): void {
  const engine = getEngine();

  it(`${provider} serves every algorithm`, () => {
    expect(engine.info().aead).toEqual({ aes128gcm: provider, aes256gcm: provider, chacha20poly1305: provider });
  });

  describe.each(['nist-aes-gcm', 'wycheproof-aead'])('%s', (file) => {
    const cases = casesOf<AeadCase>(file);

    it('opens what is valid', () => {
      for (const { id, algorithm, key, iv, plaintext, ciphertext, tag } of cases.filter(({ valid }) => valid)) {
        const tensor = { algorithm, key: hex(key), iv: hex(iv), tags: hex(tag), ciphertext: hex(ciphertext) };
        const destination = new Uint8Array(tensor.ciphertext.length).fill(0xaa);
        expect(openWithEngine(engine, tensor, destination), id).toBeNull();
        expect(Buffer.from(destination).toString('hex'), id).toBe(plaintext);
        expect(nodeOpen(algorithm, tensor.key, tensor.iv, tensor.ciphertext, tensor.tags).toString('hex')).toBe(plaintext);
      }
    });

    it('refuses what is not, and leaves nothing of it', () => {
      const bad = cases.filter(({ valid }) => !valid);
      expect(bad.length).toBeGreaterThan(0);
      for (const { id, algorithm, key, iv, ciphertext, tag } of bad) {
        const tensor = { algorithm, key: hex(key), iv: hex(iv), tags: hex(tag), ciphertext: hex(ciphertext) };
        const destination = new Uint8Array(tensor.ciphertext.length).fill(0xaa);
        expect(openWithEngine(engine, tensor, destination), id).toMatchObject({ code: 'BadTag', tensor: 0, chunk: 0 });
        expect(
          destination.every((byte) => byte === 0 || byte === 0xaa),
          id,
        ).toBe(true);
      }
    });
  });

  describe.each(['ed25519-sign', 'wycheproof-ed25519'])('%s', (file) => {
    it.each(casesOf<SignatureCase>(file))('$id', async ({ seed, publicKey, message, signature, valid }) => {
      if (seed !== undefined) {
        const secret = engine.importSecret(hex(seed));
        expect(Buffer.from(engine.ed25519PublicKey(secret)).toString('hex')).toBe(publicKey);
        expect(Buffer.from(engine.ed25519Sign(secret, hex(message))).toString('hex')).toBe(signature);
        secret.dispose();
      }
      expect(engine.ed25519Verify(hex(publicKey), hex(message), hex(signature))).toBe(valid);
      expect(await engine.ed25519VerifyAsync(hex(publicKey), hex(message), hex(signature))).toBe(valid);
    });
  });

  describe.each<[DigestAlgorithm, string]>([
    ['sha256', 'nist-sha256'],
    ['blake3', 'blake3'],
  ])('%s', (algorithm, file) => {
    it.each(casesOf<DigestCase>(file))('$id', ({ message, length, digest }) => {
      const bytes = message === undefined ? Uint8Array.from({ length: length! }, (_, i) => i % 251) : hex(message);
      expect(Buffer.from(engine.digest(algorithm, bytes)).toString('hex')).toBe(digest);
    });
  });

  describeAgainstNode();
}
