import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '#dist/errors.js';
import {
  encodeCryptoKeys,
  encodePolicy,
  parseCryptoKeys,
  parsePolicy,
  parseSignature,
  isEncrypted,
} from '#dist/format/crypto-metadata.js';
import { ENCRYPTED_FILE_KEYS } from '#dist/format/vocabulary.js';
import { trickyString } from './headers.js';
import { refusalSync } from '../support/errors.js';

describe('isEncrypted', () => {
  const all = new Map(ENCRYPTED_FILE_KEYS.map((key) => [key as string, '']));

  it('is all of the four reserved keys, or none', () => {
    expect(isEncrypted(null)).toBe(false);
    expect(isEncrypted(new Map())).toBe(false);
    expect(
      isEncrypted(
        new Map([
          ['__integrity__', ''],
          ['a', 'b'],
        ]),
      ),
    ).toBe(false);
    expect(isEncrypted(all)).toBe(true);
    expect(isEncrypted(new Map([...all, ['__integrity__', '']]))).toBe(true);
  });

  it.each(ENCRYPTED_FILE_KEYS)('is refused without %s alone, and with %s alone', (key) => {
    const rest = new Map(all);
    rest.delete(key);
    expect(refusalSync('InvalidCryptoMetadata', () => isEncrypted(rest)).message).toContain(`lacks ${key}`);
    refusalSync('InvalidCryptoMetadata', () => isEncrypted(new Map([[key, '']])));
  });
});

describe('__crypto_keys__', () => {
  const enc = { alg: 'aes256gcm', kty: 'oct', kid: 'e' };
  const sign = { alg: 'ed25519', kty: 'okp', kid: 's' };
  const parse = (document: object) => parseCryptoKeys(JSON.stringify(document));

  it('gives version, chunk size and keys', () => {
    expect(parse({ version: '2', chunk_size: 16, enc: { ...enc, jku: 'file://x' }, sign })).toEqual({
      version: 2,
      chunkSize: 16,
      exactChunkSize: 16n,
      enc: { algorithm: 'aes256gcm', algText: 'aes256gcm', kid: 'e', jku: 'file://x' },
      sign: { algText: 'ed25519', kid: 's', jku: null },
    });
    expect(parse({ version: '1', enc, sign })).toMatchObject({ version: 1, chunkSize: 0, exactChunkSize: 0n });
    expect(parse({ version: '2', enc, sign })).toMatchObject({ chunkSize: 2_097_152, exactChunkSize: 2_097_152n });
  });

  it('caps a chunk size that is no safe integer, and keeps it exact', () => {
    const text = `{"version":"2","chunk_size":18446744073709551615,"enc":${JSON.stringify(enc)},"sign":${JSON.stringify(sign)}}`;
    expect(parseCryptoKeys(text)).toMatchObject({ chunkSize: 2 ** 53 - 1, exactChunkSize: 2n ** 64n - 1n });
  });

  it.each([
    ['AES-256-GCM', 'aes256gcm'],
    ['a-e-s-1-2-8-g-c-m', 'aes128gcm'],
    ['ChaCha20-Poly1305', 'chacha20poly1305'],
  ])('knows %s as %s', (alg, algorithm) => {
    expect(parse({ version: '2', enc: { ...enc, alg }, sign }).enc).toMatchObject({ algorithm, algText: alg });
  });

  it('takes any case of ed25519 and of okp, null for an absent kid, and fields that it does not know', () => {
    const key = { alg: 'Ed25519', kty: 'OKP', kid: null, jku: null, x: 'public' };
    expect(parse({ version: '2', enc, sign: key, extra: [] }).sign).toEqual({
      algText: 'Ed25519',
      kid: null,
      jku: null,
    });
  });

  it.each<[ErrorCode, string, object]>([
    ['UnsupportedVersion', 'version 3', { version: '3', enc, sign }],
    ['UnsupportedVersion', 'an empty version', { version: '', enc, sign }],
    ['InvalidCryptoMetadata', 'a version that is a number', { version: 2, enc, sign }],
    ['InvalidCryptoMetadata', 'no version', { enc, sign }],
    ['InvalidCryptoMetadata', 'a chunk size of 0', { version: '2', chunk_size: 0, enc, sign }],
    ['InvalidCryptoMetadata', 'a chunk size of null', { version: '2', chunk_size: null, enc, sign }],
    ['InvalidCryptoMetadata', 'a chunk size that is text', { version: '2', chunk_size: '16', enc, sign }],
    ['InvalidCryptoMetadata', 'a negative chunk size', { version: '2', chunk_size: -1, enc, sign }],
    ['InvalidCryptoMetadata', 'half a byte as chunk size', { version: '2', chunk_size: 0.5, enc, sign }],
    ['InvalidCryptoMetadata', 'a chunk size in version 1', { version: '1', chunk_size: 16, enc, sign }],
    ['InvalidCryptoMetadata', 'no enc', { version: '2', sign }],
    ['InvalidCryptoMetadata', 'no sign', { version: '2', enc }],
    ['InvalidCryptoMetadata', 'enc as an array', { version: '2', enc: [], sign }],
    ['InvalidCryptoMetadata', 'another kty of enc', { version: '2', enc: { ...enc, kty: 'OCT' }, sign }],
    ['InvalidCryptoMetadata', 'another kty of sign', { version: '2', enc, sign: { ...sign, kty: 'oct' } }],
    ['InvalidCryptoMetadata', 'no alg', { version: '2', enc: { kty: 'oct' }, sign }],
    ['InvalidCryptoMetadata', 'a kid that is a number', { version: '2', enc: { ...enc, kid: 1 }, sign }],
    ['InvalidCryptoMetadata', 'a jku that is an object', { version: '2', enc, sign: { ...sign, jku: {} } }],
    ['InvalidCryptoMetadata', 'an array', []],
    ['UnsupportedAlgorithm', 'another cipher', { version: '2', enc: { ...enc, alg: 'aes192gcm' }, sign }],
    ['UnsupportedAlgorithm', 'another signature', { version: '2', enc, sign: { ...sign, alg: 'ed448' } }],
  ])('is refused with %s for %s', (code, _, document) => {
    refusalSync(code, () => parse(document));
  });

  it('is written with its keys in alphabetical order, as the reference does', () => {
    const written = encodeCryptoKeys({
      version: 2,
      chunkSize: 30,
      enc: { algorithm: 'aes256gcm', kid: 'enc-256', jku: 'https://keys.example.com/model.jwks' },
      sign: { kid: null, jku: null },
    });
    expect(written).toBe(
      '{"chunk_size":30,"enc":{"alg":"aes256gcm","jku":"https://keys.example.com/model.jwks","kid":"enc-256","kty":"oct"},' +
        '"sign":{"alg":"ed25519","kty":"okp"},"version":"2"}',
    );
  });

  it('comes back as it was written', () => {
    const reference = fc.record({ kid: fc.option(trickyString), jku: fc.option(trickyString) });
    const keys = fc.record({
      version: fc.constantFrom<1 | 2>(1, 2),
      chunkSize: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
      enc: fc.tuple(
        reference,
        fc.constantFrom('aes128gcm' as const, 'aes256gcm' as const, 'chacha20poly1305' as const),
      ),
      sign: reference,
    });
    fc.assert(
      fc.property(keys, ({ version, chunkSize, enc: [encKey, algorithm], sign: signKey }) => {
        const parsed = parseCryptoKeys(
          encodeCryptoKeys({ version, chunkSize, enc: { ...encKey, algorithm }, sign: signKey }),
        );
        expect(parsed).toMatchObject({
          version,
          exactChunkSize: version === 1 ? 0n : chunkSize,
          enc: { ...encKey, algorithm },
          sign: signKey,
        });
      }),
    );
  });
});

describe('__signature__', () => {
  it('is 64 bytes in base64', () => {
    const bytes = Buffer.alloc(64, 7);
    expect(parseSignature(bytes.toString('base64'))).toEqual(Uint8Array.from(bytes));
  });

  it.each([
    ['nothing', ''],
    ['63 bytes', Buffer.alloc(63).toString('base64')],
    ['65 bytes', Buffer.alloc(65).toString('base64')],
    ['no padding', Buffer.alloc(64).toString('base64').replaceAll('=', '')],
    ['the URL-safe alphabet', Buffer.alloc(64, 0xff).toString('base64').replaceAll('/', '_')],
    ['hexadecimal', Buffer.alloc(64).toString('hex')],
  ])('is BadSignature for %s', (_, text) => {
    refusalSync('BadSignature', () => parseSignature(text));
  });
});

describe('__policy__', () => {
  it('comes back as it was written', () => {
    fc.assert(
      fc.property(trickyString, trickyString, (local, remote) => {
        expect(parsePolicy(encodePolicy({ local, remote }))).toEqual({ local, remote });
      }),
    );
    expect(encodePolicy({ remote: 'r', local: 'package model\nallow = true' })).toBe(
      '{"local":"package model\\nallow = true","remote":"r"}',
    );
  });

  it.each([
    '{}',
    '{"local":"a"}',
    '{"remote":"a"}',
    '{"local":null,"remote":"a"}',
    '{"local":"a","local":"a","remote":"b"}',
    '"a"',
    '',
  ])('is InvalidCryptoMetadata for %s', (text) => {
    refusalSync('InvalidCryptoMetadata', () => parsePolicy(text));
  });
});
