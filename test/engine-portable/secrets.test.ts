import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { inspect } from 'node:util';
import { blake3 } from '@noble/hashes/blake3.js';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { faultOf, pattern } from './sealed-file.js';

const engine = createNodeEngine();
const ascii = (text: string) => new TextEncoder().encode(text);

describe('a secret', () => {
  it('is a copy, and comes out as one', () => {
    const bytes = pattern(32);
    const secret = engine.importSecret(bytes);
    bytes.fill(0);
    const first = engine.exportSecret(secret);
    expect(Buffer.compare(first, pattern(32))).toBe(0);
    first.fill(0);
    expect(Buffer.compare(engine.exportSecret(secret), pattern(32))).toBe(0);
  });

  it('shows its length and nothing else', () => {
    const secret = engine.importSecret(ascii('hunter2 hunter2!'));
    const opaque: unknown = secret;
    const shown = [
      inspect(secret, { showHidden: true, depth: 9 }),
      String(opaque),
      JSON.stringify({ secret }),
      Object.keys(secret).join(),
    ].join();
    expect(shown).toContain('Secret(16 bytes)');
    expect(shown).not.toMatch(/hunter|104|68756e/);
  });

  it('is gone once it is disposed', async () => {
    const secret = engine.randomSecret(32);
    secret.dispose();
    secret.dispose();
    expect(await faultOf(() => engine.exportSecret(secret))).toMatchObject({ code: 'Closed', tensor: -1 });
    expect(await faultOf(() => engine.ed25519PublicKey(secret))).toMatchObject({ code: 'Closed' });
    expect(await faultOf(() => engine.secretsEqual(secret, secret))).toMatchObject({ code: 'Closed' });
    expect(() => engine.exportSecret({ byteLength: 32, dispose: () => undefined })).toThrow(TypeError);
  });

  it('is random when it is to be', () => {
    const [a, b] = [engine.randomSecret(32), engine.randomSecret(32)];
    expect(engine.secretsEqual(a, b)).toBe(false);
    expect(engine.secretsEqual(a, engine.importSecret(engine.exportSecret(a)))).toBe(true);
    expect(engine.secretsEqual(a, engine.randomSecret(16))).toBe(false);
    for (const size of [2 ** 26 + 1, 2 ** 40, -1]) expect(() => engine.randomSecret(size)).toThrow(RangeError);
  });
});

describe('base64 of a key', () => {
  const decode = (text: string) => {
    const secret = engine.importSecretBase64(ascii(text));
    return secret === null ? null : Buffer.from(engine.exportSecret(secret));
  };

  it('may be of either alphabet, padded or not', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        for (const text of [Buffer.from(bytes).toString('base64'), Buffer.from(bytes).toString('base64url')]) {
          expect(decode(text)).toEqual(Buffer.from(bytes));
          expect(decode(text.replace(/=+$/, ''))).toEqual(Buffer.from(bytes));
          expect(decode(text.replace(/=+$/, '').padEnd(Math.ceil((bytes.length * 4) / 3 / 4) * 4, '='))).toEqual(
            Buffer.from(bytes),
          );
        }
      }),
    );
  });

  it.each([
    'A',
    'AAAAA',
    'AB==',
    'AAB=',
    'AAF',
    'A===',
    'AA=',
    'AAA==',
    '====',
    '=',
    'AA==AA==',
    '+_AA',
    '-/AA',
    'AA A',
    'AAAA\n',
    'AAé',
    'AA$A',
    '@@@@',
  ])('is not %j', (text) => {
    expect(decode(text)).toBeNull();
  });

  it('may be empty', () => {
    expect(decode('')).toHaveLength(0);
  });
});

describe('Ed25519', () => {
  /** RFC 8032 §7.1, test 3. */
  const seed = engine.importSecret(
    Buffer.from('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7', 'hex'),
  );
  const publicKey = Buffer.from('fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025', 'hex');
  const message = Buffer.from('af82', 'hex');
  const signature = Buffer.from(
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    'hex',
  );

  it('gives the known answers', async () => {
    expect(Buffer.from(engine.ed25519PublicKey(seed))).toEqual(publicKey);
    expect(Buffer.from(engine.ed25519Sign(seed, message))).toEqual(signature);
    expect(engine.ed25519Verify(publicKey, message, signature)).toBe(true);
    expect(await engine.ed25519VerifyAsync(publicKey, message, signature)).toBe(true);
  });

  it('verifies what another made', () => {
    const pair = generateKeyPairSync('ed25519');
    const raw = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
    const text = pattern(1000);
    expect(engine.ed25519Verify(raw, text, sign(null, text, pair.privateKey))).toBe(true);
  });

  it('refuses every changed bit of the signature, and another message or key', async () => {
    for (let bit = 0; bit < 512; bit++) {
      const changed = Buffer.from(signature);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(engine.ed25519Verify(publicKey, message, changed), `bit ${bit}`).toBe(false);
    }
    expect(engine.ed25519Verify(publicKey, ascii('other'), signature)).toBe(false);
    for (const key of [Buffer.alloc(32), Buffer.alloc(32, 0xff), engine.ed25519PublicKey(engine.randomSecret(32))]) {
      expect(engine.ed25519Verify(key, message, signature)).toBe(false);
      expect(await engine.ed25519VerifyAsync(key, message, signature)).toBe(false);
    }
  });

  it('refuses a signature whose S was altered by the group order (RFC 8032 §5.1.7)', () => {
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order;
    const changed = Buffer.concat([
      signature.subarray(0, 32),
      Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse(),
    ]);
    expect(engine.ed25519Verify(publicKey, message, changed)).toBe(false);
  });

  it('takes exact lengths only', async () => {
    expect(() => engine.ed25519Verify(publicKey.subarray(1), message, signature)).toThrow(RangeError);
    expect(() => engine.ed25519Verify(publicKey, message, signature.subarray(1))).toThrow(RangeError);
    await expect(engine.ed25519VerifyAsync(publicKey, message, signature.subarray(1))).rejects.toThrow(RangeError);
    expect(() => engine.ed25519Sign(engine.randomSecret(31), message)).toThrow('seed must be 32 bytes, but is 31');
  });
});

describe('digests', () => {
  it.each([0, 1, 63, 64, 65, 1024, 1025, 100_000])('of %i bytes are those of others', (length) => {
    const bytes = pattern(length);
    expect(Buffer.from(engine.digest('sha256', bytes))).toEqual(createHash('sha256').update(bytes).digest());
    expect(Buffer.from(engine.digest('blake3', bytes))).toEqual(Buffer.from(blake3(bytes)));
  });

  it('give the known answers for nothing', () => {
    expect(Buffer.from(engine.digest('sha256', new Uint8Array(0))).toString('hex')).toMatch(/^e3b0c44298fc1c14/);
    expect(Buffer.from(engine.digest('blake3', new Uint8Array(0))).toString('hex')).toMatch(/^af1349b9f5f9a1a6/);
  });
});
