import { createPrivateKey } from 'node:crypto';
import { compactDecrypt } from 'jose';
import { exportLicenseKey, generateRecipientKeys, publicJwks, safeOpenSync } from 'cryptotensors';
import type { Jwk, AgreementCurve } from 'cryptotensors';
import { getEngine } from '#dist/engine/load.js';
import { createPortableEngine } from '#dist/engine/portable/engine.js';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import { webCrypto } from '#dist/engine/portable/web-crypto.js';
import { parseJwe } from '#dist/format/jwe.js';
import type { Jwe } from '#dist/format/jwe.js';
import { parseJwks } from '#dist/keys/jwk.js';
import { openJwe } from '#dist/keys/jwe.js';
import { sealKey } from '#dist/license/seal-key.js';
import { runAsync, runSync } from '#dist/twin.js';
import { describe, expect, test } from 'vitest';
import { refusal } from '../support/errors.js';
import { ACME, BODY, VENDOR_PUBLIC, issue, opening, partsOf, withTerms } from './support.js';

const LICENSE = await issue({ id: 'L' });
const { terms, jwe } = partsOf(LICENSE);
const HEADER = JSON.parse(Buffer.from(jwe[0]!, 'base64url').toString()) as Record<string, unknown>;

/** A licence that the vendor signed, with a key that it should not have. */
function withKey(parts: readonly string[]): Uint8Array {
  return withTerms(LICENSE, JSON.stringify({ ...terms, key: parts.join('.') }));
}

const encoded = (text: string): string => Buffer.from(text).toString('base64url');
const withHeader = (text: string): Uint8Array => withKey([encoded(text), ...jwe.slice(1)]);

describe.each(['X25519', 'P-256'] as AgreementCurve[])('the key in a licence for %s', (curve) => {
  const customer = generateRecipientKeys({ curve });
  const [key] = customer.keys as [Jwk];

  test('is a JWE that another implementation opens, and a JWK of the master key', async () => {
    const license = await issue({ to: publicJwks(customer), id: 'L' });
    const privateKey = createPrivateKey({ key: key as never, format: 'jwk' });
    const { plaintext, protectedHeader } = await compactDecrypt(partsOf(license).terms.key as string, privateKey, {
      keyManagementAlgorithms: ['ECDH-ES'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    expect(protectedHeader).toMatchObject({ alg: 'ECDH-ES', enc: 'A256GCM', cty: 'jwk+json', kid: key.kid });
    const { keys } = await exportLicenseKey(license, { keys: customer, trust: VENDOR_PUBLIC });
    expect(JSON.parse(new TextDecoder().decode(plaintext))).toEqual(keys[0]);
  });

  test.each([
    ['native', 'blocking', getEngine(), runSync, 1],
    ['native', 'awaiting', getEngine(), runAsync, 1],
    ['portable', 'blocking', createNodeEngine(), runSync, 1],
    ['portable', 'awaiting', createNodeEngine(), runAsync, 1],
    // Agreement in JavaScript takes its time.
    ['Web Crypto', 'awaiting', createPortableEngine(webCrypto, null), runAsync, 41],
  ] as const)('opens on the %s engine, %s, and with no bit of it changed', async (_, _form, engine, run, step) => {
    const open = async (jwe: Jwe) => run(openJwe(jwe, recipient!, engine));
    const [recipient] = parseJwks(Buffer.from(JSON.stringify(customer)), engine, { where: 'keys' }).recipientKeys;
    const secret = engine.randomSecret(32);
    const sealed = parseJwe(await sealKey({ kid: 'L', algorithm: 'aes256gcm', secret }, recipient!, engine));
    const plain = JSON.parse(Buffer.from(await open(sealed)).toString()) as Jwk;
    expect(plain).toEqual({
      kty: 'oct',
      alg: 'aes256gcm',
      kid: 'L',
      k: Buffer.from(engine.exportSecret(secret)).toString('base64'),
    });
    // The top bit of an X25519 coordinate is masked by RFC 7748; all else counts.
    for (const part of ['ciphertext', 'tag', 'iv', 'protectedHeader'] as const) {
      for (let bit = 0; bit < sealed[part].length * 8; bit += step) {
        const changed = { ...sealed, [part]: Uint8Array.from(sealed[part]) };
        changed[part][bit >> 3]! ^= 1 << (bit & 7);
        await refusal('InvalidLicense', () => open(changed));
      }
    }
  });

  test('says on Web Crypto that the blocking form is not to be had', async () => {
    const engine = createPortableEngine(webCrypto, null);
    const [recipient] = parseJwks(Buffer.from(JSON.stringify(customer)), engine, { where: 'keys' }).recipientKeys;
    const secret = engine.randomSecret(32);
    const sealed = parseJwe(await sealKey({ kid: 'L', algorithm: 'aes256gcm', secret }, recipient!, engine));
    await refusal('NativeUnavailable', () => runSync(openJwe(sealed, recipient!, engine)));
  });
});

describe('a token asks in vain', () => {
  const epk = HEADER.epk as Record<string, string>;
  const asked: [string, Record<string, unknown>][] = [
    ['for no encryption', { alg: 'none' }],
    ['for a shared key', { alg: 'dir' }],
    ['for another agreement', { alg: 'ECDH-ES+A256KW' }],
    ['for RSA', { alg: 'RSA-OAEP' }],
    ['for a password', { alg: 'PBES2-HS256+A128KW', p2c: 1e9, p2s: 'AAAA' }],
    ['for an algorithm in small letters', { alg: 'ecdh-es' }],
    ['for no algorithm', { alg: undefined }],
    ['for a shorter key', { enc: 'A128GCM' }],
    ['for CBC', { enc: 'A256CBC-HS512' }],
    ['for decompression', { zip: 'DEF' }],
    ['for an extension', { crit: ['exp'], exp: 1 }],
    ['for an empty extension', { crit: [] }],
    ['for a key at a URL', { jku: 'https://evil.example/keys' }],
    ['for a certificate at a URL', { x5u: 'file:///etc/passwd' }],
    ['for a key that it brings along', { jwk: ACME.keys[0] }],
    ['for a certificate that it brings along', { x5c: [] }],
    ['for parties', { apu: 'QQ', apv: 'QQ' }],
    ['for another type of content', { cty: 'text/plain' }],
    ['for no type of content', { cty: undefined }],
    ['for nobody', { kid: undefined }],
    ['for somebody who is a number', { kid: 7 }],
    ['with no key of the sender', { epk: undefined }],
    ['with a key of the sender that is private too', { epk: { ...epk, d: epk.x } }],
    ['with a key of the sender of another curve', { epk: { ...epk, crv: 'Ed25519' } }],
    ['with a key of the sender of another kind', { epk: { kty: 'oct', k: epk.x } }],
    ['with a short key of the sender', { epk: { ...epk, x: 'AAAA' } }],
    ['with a key of the sender of small order', { epk: { ...epk, x: Buffer.alloc(32).toString('base64url') } }],
    ['with a point that is not on the curve', { epk: { kty: 'EC', crv: 'P-256', x: epk.x, y: epk.x } }],
    ['with a key of the sender that is a string', { epk: 'x' }],
  ];
  test.each(asked)('%s', async (_, change) => {
    const license = withHeader(JSON.stringify({ ...HEADER, ...change }));
    const { message } = await refusal('InvalidLicense', () => safeOpenSync(BODY, opening(license)));
    // Refused for what it asks, and not merely because the header was changed after the encryption.
    expect(message).not.toContain('does not decrypt');
  });

  test('for the same in another spelling, which is not what was encrypted', async () => {
    const license = withHeader(` ${JSON.stringify(HEADER)}`);
    const { message } = await refusal('InvalidLicense', () => safeOpenSync(BODY, opening(license)));
    expect(message).toContain('does not decrypt');
  });

  test('for another recipient, who has no such key', async () => {
    await refusal('KeyNotFound', () =>
      safeOpenSync(BODY, opening(withHeader(JSON.stringify({ ...HEADER, kid: 'Bob' })))),
    );
  });

  const text = JSON.stringify(HEADER);
  const [header, key, iv, ciphertext, tag] = jwe as [string, string, string, string, string];
  const malformed: [string, string[]][] = [
    ['a header with a member twice', [encoded(text.replace('{', '{"alg":"ECDH-ES",')), key, iv, ciphertext, tag]],
    ['a header that is a list', [encoded('[]'), key, iv, ciphertext, tag]],
    ['an encrypted key', [header, 'AAAA', iv, ciphertext, tag]],
    ['four parts', [header, key, iv, ciphertext]],
    ['six parts', [header, key, iv, ciphertext, tag, '']],
    ['no part', ['']],
    ['a short vector', [header, key, iv.slice(4), ciphertext, tag]],
    ['a short tag', [header, key, iv, ciphertext, tag.slice(0, 16)]],
    ['no tag', [header, key, iv, ciphertext, '']],
    ['no ciphertext', [header, key, iv, '', tag]],
    ['padding', [header, key, iv, ciphertext, `${tag}==`]],
    ['the other alphabet', [header, key, iv, ciphertext, `${tag.slice(0, -2)}+/`]],
    ['trailing bits', [header, key, iv, ciphertext, `${tag.slice(0, -1)}B`]],
    ['far too much of it', [header, key, iv, 'A'.repeat(20_000), tag]],
  ];
  test.each(malformed)('as malformed: %s', async (_, parts) => {
    const { message } = await refusal('InvalidLicense', () => safeOpenSync(BODY, opening(withKey(parts))));
    if (parts[3] !== '') expect(message).not.toContain('does not decrypt');
  });
});
