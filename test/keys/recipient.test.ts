import {
  createCipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  randomBytes,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { getEngine } from '#dist/engine/load.js';
import type { Secret } from '#dist/engine/types.js';
import type { AgreementCurve } from '#dist/format/vocabulary.js';
import { selectedKeys } from '#dist/keys/copy.js';
import { generateRecipientKeys, publicRecipientJwk } from '#dist/keys/generate-recipient.js';
import { publicJwks } from '#dist/keys/generate.js';
import { parseJwks } from '#dist/keys/jwk.js';
import { ringContents } from '#dist/keys/keyring.js';
import { loadKeyRing, loadKeyRingSync } from '#dist/keys/load.js';
import { lookUpRecipientKey } from '#dist/keys/lookup.js';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import type { Jwk } from '#dist/keys/types.js';
import { runAsync, runSync } from '#dist/twin.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { MASTER, SIGNER, expectNoMaterial, json, refusal } from './support.js';

let fake: FakeEngine;
beforeEach(() => {
  fake = new FakeEngine();
});

const parse = (value: unknown): ReturnType<typeof parseJwks> => parseJwks(json(value), fake.engine, { where: 'keys' });

/** RFC 8037 A.6: the recipient's key of the ECDH-ES example; its public part there, the private one from RFC 7748 §6.1. */
const BOB: Jwk = {
  kty: 'OKP',
  crv: 'X25519',
  kid: 'Bob',
  x: '3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08',
  d: Buffer.from('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb', 'hex').toString('base64url'),
};
/** RFC 7517 A.1 and A.2. */
const EC: Jwk = {
  kty: 'EC',
  crv: 'P-256',
  x: 'MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4',
  y: '4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM',
  d: '870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE',
  use: 'enc',
  kid: '1',
};
const CURVES: AgreementCurve[] = ['X25519', 'P-256'];
const GENERATED = CURVES.map((curve) => [curve, generateRecipientKeys({ curve }, getEngine()).keys[0]!] as const);

describe('a recipient key is read', () => {
  test.each([
    ['X25519', BOB, 'X25519'],
    ['P-256', EC, 'P-256'],
    ['with alg', { ...BOB, alg: 'ECDH-ES' }, 'X25519'],
    ['P-256 without use', { ...EC, use: undefined }, 'P-256'],
    ['in standard base64', { ...BOB, x: Buffer.from(BOB.x!, 'base64url').toString('base64') }, 'X25519'],
  ])('%s', (_, jwk, curve) => {
    const { recipientKeys, masterKeys, signingKeys } = parse(jwk);
    expect([masterKeys, signingKeys]).toEqual([[], []]);
    expect(recipientKeys).toMatchObject([{ curve, kid: jwk.kid, state: 'active' }]);
    expect(fake.live.size).toBe(1);
    expectNoMaterial(recipientKeys, [BOB.d!, EC.d!]);
    const half = parse({ ...jwk, d: undefined }).recipientKeys[0]!;
    expect(half).toEqual({ ...recipientKeys[0]!, secret: null });
  });

  test('beside keys of the other roles, shown in a ring by its id alone', async () => {
    const ring = await loadKeyRing({ keys: [MASTER, SIGNER, BOB, EC] }, fake.engine);
    expect(ring.recipientKeys).toEqual([
      { kid: 'Bob', curve: 'X25519', thumbprint: expect.any(String) as string, hasPrivate: true, state: 'active' },
      { kid: '1', curve: 'P-256', thumbprint: expect.any(String) as string, hasPrivate: true, state: 'active' },
    ]);
    expect(ring.toJSON().recipientKeys).toEqual(['Bob', '1']);
    expect(String(ring)).toContain('recipient keys: "Bob", "1"');
    expectNoMaterial(ring, [BOB.d!, EC.d!]);
    ring.dispose();
    expect([fake.live.size, ring.recipientKeys]).toEqual([0, []]);
  });

  test('once, however often it is listed: the whole key wins over its public half, the strictest state over all', () => {
    const half = { ...BOB, d: undefined };
    const { recipientKeys } = parse({ keys: [half, BOB, { ...half, state: 'decrypt-only' }] });
    expect(recipientKeys.map(({ secret, state }) => [secret !== null, state])).toEqual([[true, 'decrypt-only']]);
    expect(fake.live.size).toBe(1);
  });

  test('without its private part if it is revoked', () => {
    expect(parse({ ...BOB, state: 'revoked' }).recipientKeys).toMatchObject([{ state: 'revoked', secret: null }]);
    expect(fake.live.size).toBe(0);
  });

  test('P-256 keys that say that they sign are left out of sets, as before', () => {
    for (const sign of [{ alg: 'ES256' }, { alg: undefined, use: 'sig' }]) {
      expect(parse({ keys: [MASTER, { ...EC, ...sign }] }).recipientKeys).toEqual([]);
    }
  });
});

test.each(GENERATED)(
  'a generated %s key is what node:crypto takes it for, and has the thumbprint of RFC 7638',
  (_, jwk) => {
    const { recipientKeys } = parseJwks(json(jwk), getEngine(), { where: 'keys' });
    const own = createPrivateKey({ key: jwk as never, format: 'jwk' });
    const { x, y } = createPublicKey(own).export({ format: 'jwk' });
    expect([jwk.x, jwk.y]).toEqual([x, y]);
    expect(recipientKeys[0]!.thumbprint).toBe(jwk.kid);
    const { d, ...half } = jwk;
    expect(d).toBeDefined();
    expect(publicJwks({ keys: [jwk] }, getEngine())).toEqual({ keys: [half] });
  },
);

test('the thumbprint of RFC 7638 §3.1 is that of the members in order', () => {
  // Checked by hand: SHA-256 of {"crv":"X25519","kty":"OKP","x":"3p7b…"}.
  expect(parse(BOB).recipientKeys[0]!.thumbprint).toBe(thumbprintByHand({ crv: 'X25519', kty: 'OKP', x: BOB.x! }));
  const { crv, kty, x, y } = EC as Required<Pick<Jwk, 'crv' | 'kty' | 'x' | 'y'>>;
  expect(parse(EC).recipientKeys[0]!.thumbprint).toBe(thumbprintByHand({ crv, kty, x, y }));
});

function thumbprintByHand(members: Record<string, string>): string {
  return Buffer.from(fake.engine.digest('sha256', Buffer.from(JSON.stringify(members)))).toString('base64url');
}

describe('refuses as InvalidKey', () => {
  test.each([
    ['no x', { ...BOB, x: undefined }],
    ['no y', { ...EC, y: undefined }],
    ['a point off the curve', { ...EC, y: EC.x }],
    ['x of 31 bytes', { ...BOB, x: BOB.x!.slice(0, -2) }],
    ['x that is no base64', { ...BOB, x: `${BOB.x!}*` }],
    ['d of 31 bytes', { ...BOB, d: BOB.d!.slice(0, -2) }],
    ['d that is no base64', { ...BOB, d: '!' }],
    ['d that is zero', { ...EC, d: 'A'.repeat(43) }],
    ['d that is the order of the curve', { ...EC, d: '_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE' }],
    ['halves of different X25519 keys', { ...BOB, d: GENERATED[0]![1].d }],
    ['halves of different P-256 keys', { ...EC, d: GENERATED[1]![1].d }],
    ['another alg', { ...BOB, alg: 'ECDH-ES+A256KW' }],
    ['a use that is not encryption', { ...BOB, use: 'sig' }],
    ['a state that there is not', { ...BOB, state: 'new' }],
    ['a curve of another kty', { ...BOB, kty: 'EC' }],
    ['P-256 as OKP', { ...EC, kty: 'OKP' }],
    ['small letters', { ...BOB, crv: 'x25519' }],
  ])('%s', async (_, jwk) => {
    const error = await refusal('InvalidKey', () => parse(jwk));
    expectNoMaterial(error, [BOB.d!, EC.d!]);
    expect(fake.live.size).toBe(0);
  });

  test('two keys under one kid', async () => {
    await refusal('InvalidKey', () => parse({ keys: [BOB, { ...EC, kid: 'Bob' }] }));
    expect(fake.live.size).toBe(0);
  });
});

/** What ECDH-ES derives from what is agreed on, and nothing else (RFC 7518 §4.6.2). */
function derived(shared: Uint8Array, info: Uint8Array): string {
  return createHash('sha256')
    .update(Buffer.of(0, 0, 0, 1))
    .update(shared)
    .update(info)
    .digest('hex');
}

/** What node:crypto takes for the same key. */
function nodeKey(curve: AgreementCurve, d: Uint8Array, publicKey: Uint8Array): KeyObject {
  const half = { ...publicRecipientJwk({ curve, publicKey, kid: null }) };
  return createPrivateKey({ key: { ...half, d: Buffer.from(d).toString('base64url') } as never, format: 'jwk' });
}

describe.each([
  ['native', () => getEngine()],
  ['portable', () => createNodeEngine()],
] as const)('on the %s engine', (_, makeEngine) => {
  const engine = makeEngine();
  const hex = (secret: Secret | null): string => Buffer.from(engine.exportSecret(secret!)).toString('hex');
  const bob = (): Secret => engine.importSecret(Buffer.from(BOB.d!, 'base64url'));

  test('X25519 agrees as in RFC 7748 §6.1', () => {
    const alice = Buffer.from('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a', 'hex');
    const shared = Buffer.from('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742', 'hex');
    for (const info of [new Uint8Array(0), Buffer.from('info')]) {
      expect(hex(engine.agreeOnKey('X25519', bob(), alice, info))).toBe(derived(shared, info));
    }
  });

  test.each(CURVES)('%s agrees with node:crypto on a hundred keys', (curve) => {
    for (let i = 0; i < 100; i++) {
      const [d, e, info] = [randomBytes(32), randomBytes(32), randomBytes(i)];
      const ours = engine.importSecret(d);
      const peer = engine.agreementPublicKey(curve, engine.importSecret(e))!;
      const own = engine.agreementPublicKey(curve, ours)!;
      const shared = diffieHellman({
        privateKey: nodeKey(curve, d, own),
        publicKey: createPublicKey(nodeKey(curve, e, peer)),
      });
      expect(hex(engine.agreeOnKey(curve, ours, peer, info))).toBe(derived(shared, info));
    }
  });

  test.each([
    ['zero', '00'.repeat(32)],
    ['one', `01${'00'.repeat(31)}`],
    ['order 8', 'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800'],
    ['order 8, the other', '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157'],
    ['p - 1', `ec${'ff'.repeat(30)}7f`],
    ['p', `ed${'ff'.repeat(30)}7f`],
  ])('an X25519 key of small order agrees on nothing: %s', (__, peer) => {
    expect(engine.agreeOnKey('X25519', bob(), Buffer.from(peer, 'hex'), new Uint8Array(0))).toBeNull();
  });

  test.each([
    ['zero', '00'.repeat(32)],
    ['the order', 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'],
    ['far above it', 'ff'.repeat(32)],
  ])('a private key of P-256 that is none has no public key and agrees on nothing: %s', (__, d) => {
    const secret = engine.importSecret(Buffer.from(d, 'hex'));
    const peer = engine.agreementPublicKey('P-256', engine.importSecret(Buffer.from(EC.d!, 'base64url')))!;
    expect(engine.agreementPublicKey('P-256', secret)).toBeNull();
    expect(engine.agreeOnKey('P-256', secret, peer, new Uint8Array(0))).toBeNull();
  });

  test('a point off P-256 is no key, nor are bytes of another length', () => {
    for (const [curve, bytes] of [
      ['P-256', Buffer.alloc(64, 1)],
      ['P-256', Buffer.alloc(64)],
      ['P-256', Buffer.alloc(32)],
      ['P-256', Buffer.alloc(65, 4)],
      ['X25519', Buffer.alloc(31, 9)],
      ['X25519', Buffer.alloc(64, 9)],
    ] as const) {
      expect(engine.isAgreementPublicKey(curve, bytes)).toBe(false);
      const secret = engine.importSecret(Buffer.from(EC.d!, 'base64url'));
      expect(engine.agreeOnKey(curve, secret, bytes, new Uint8Array(0))).toBeNull();
    }
  });

  test('a message opens as node:crypto sealed it, and with no bit of it changed', () => {
    const [key, iv, additional, plain] = [randomBytes(32), randomBytes(12), randomBytes(20), randomBytes(70)];
    const cipher = createCipheriv('aes-256-gcm', key, iv).setAAD(additional);
    const ciphertext = Buffer.concat([cipher.update(plain), cipher.final()]);
    const message = { iv, additional, ciphertext, tag: cipher.getAuthTag() };
    const secret = engine.importSecret(key);
    expect(hex(engine.openMessage(secret, message))).toBe(plain.toString('hex'));
    for (const part of ['iv', 'additional', 'ciphertext', 'tag'] as const) {
      const changed = Buffer.from(message[part]);
      changed[3]! ^= 16;
      expect(engine.openMessage(secret, { ...message, [part]: changed }), part).toBeNull();
    }
  });

  test('what is disposed, or of another length, is refused as such', () => {
    const gone = bob();
    gone.dispose();
    const peer = new Uint8Array(32).fill(9);
    expect(() => engine.agreementPublicKey('X25519', gone)).toThrow(expect.objectContaining({ code: 'Closed' }));
    expect(() => engine.agreeOnKey('X25519', gone, peer, peer)).toThrow(expect.objectContaining({ code: 'Closed' }));
    expect(() => engine.agreementPublicKey('X25519', engine.importSecret(Buffer.alloc(31)))).toThrow(RangeError);
    expect(() => engine.agreeOnKey('P-256', engine.importSecret(Buffer.alloc(33)), peer, peer)).toThrow(RangeError);
  });
});

describe('looking one up', () => {
  const thumbprint = thumbprintOf(BOB);
  const ask = (keys: Parameters<typeof loadKeyRingSync>[0]): Promise<unknown> =>
    runAsync(lookUpRecipientKey(loadKeyRingSync(keys, fake.engine), thumbprint, { engine: fake.engine }));

  test('finds it by its thumbprint, whatever it is called', async () => {
    expect(await ask({ keys: [EC, { ...BOB, kid: 'another name' }] })).toMatchObject({ kid: 'another name' });
  });

  test('asks providers, and takes over no more than that key', () => {
    const asked: unknown[] = [];
    const provider = {
      name: 'vault',
      findSync: (selector: unknown) => {
        asked.push(selector);
        return { keys: [MASTER, EC, BOB] };
      },
    };
    const ring = loadKeyRingSync(provider, fake.engine);
    const key = runSync(lookUpRecipientKey(ring, thumbprint, { engine: fake.engine }));
    expect(key.kid).toBe('Bob');
    expect(asked).toEqual([{ role: 'recipient', kid: thumbprint, jku: null, algorithm: null }]);
    expect(fake.live.size).toBe(1);
    ring.dispose();
    expect(fake.live.size).toBe(0);
  });

  test('is KeyNotFound without it, KeyRevoked if it is revoked under any name', async () => {
    const absent = await refusal('KeyNotFound', () => ask({ keys: [EC] }));
    expect(absent.message).toContain(thumbprint);
    const half = await refusal('KeyNotFound', () => ask({ kty: 'OKP', crv: 'X25519', x: BOB.x! }));
    expect(half.message).toContain('without its private part');
    await refusal('KeyRevoked', () => ask([BOB, { ...BOB, kid: 'old', state: 'revoked' }]));
  });

  test('a cache hands out copies of recipient keys, of that role alone', () => {
    const contents = ringContents(loadKeyRingSync({ keys: [MASTER, SIGNER, BOB, EC] }, fake.engine));
    const copy = selectedKeys(
      contents,
      { role: 'recipient', kid: thumbprint, jku: null, algorithm: null },
      fake.engine,
    );
    expect([copy.masterKeys, copy.signingKeys, copy.recipientKeys.map(({ kid }) => kid)]).toEqual([[], [], ['Bob']]);
    expect(
      selectedKeys(contents, { role: 'master', kid: null, jku: null, algorithm: null }, fake.engine).recipientKeys,
    ).toEqual([]);
    expect(selectedKeys(contents, null, fake.engine).recipientKeys).toHaveLength(2);
  });
});

function thumbprintOf(jwk: Jwk): string {
  return parseJwks(json({ ...jwk, d: undefined }), getEngine(), { where: 'keys' }).recipientKeys[0]!.thumbprint;
}

test.each(CURVES)('a %s key that Node makes is read, and agrees with what Node makes', (curve) => {
  const pair = (): { privateKey: KeyObject; publicKey: KeyObject } =>
    curve === 'X25519' ? generateKeyPairSync('x25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const [own, other] = [pair(), pair()];
  const [key] = parseJwks(json({ ...own.privateKey.export({ format: 'jwk' }) }), getEngine(), {
    where: 'keys',
  }).recipientKeys;
  const { publicKey } = parseJwks(json({ ...other.publicKey.export({ format: 'jwk' }) }), getEngine(), {
    where: 'keys',
  }).recipientKeys[0]!;
  const ours = getEngine().agreeOnKey(curve, key!.secret!, publicKey, new Uint8Array(0))!;
  const shared = diffieHellman({ privateKey: other.privateKey, publicKey: own.publicKey });
  expect(Buffer.from(getEngine().exportSecret(ours)).toString('hex')).toBe(derived(shared, new Uint8Array(0)));
});
