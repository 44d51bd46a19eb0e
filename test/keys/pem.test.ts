import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateKeys, issueLicense, publicJwks, safeOpenSync, saveSync } from 'cryptotensors';
import type { Jwk } from 'cryptotensors';
import { parseJwks } from '#dist/keys/jwk.js';
import { beforeEach, describe, expect, test } from 'vitest';
import { smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { FakeEngine } from './fake-engine.js';
import { expectNoMaterial, json, refusal } from './support.js';

const folder = temporaryFolder();
let fake: FakeEngine;
beforeEach(() => {
  fake = new FakeEngine();
});

const PAIRS = {
  Ed25519: generateKeyPairSync('ed25519'),
  X25519: generateKeyPairSync('x25519'),
  'P-256': generateKeyPairSync('ec', { namedCurve: 'P-256' }),
};
const privatePem = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;
const publicPem = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }) as string;
const parse = (text: string | Uint8Array): ReturnType<typeof parseJwks> =>
  parseJwks(Buffer.from(text as string), fake.engine, { where: '"keys.pem"', path: 'keys.pem' });
const materialOf = (key: KeyObject): string => key.export({ format: 'jwk' }).d!;

describe.each(Object.entries(PAIRS))('%s', (name, { privateKey, publicKey }) => {
  const jwk = privateKey.export({ format: 'jwk' }) as Jwk;

  test('is read from PKCS#8 as from a JWK, and from SPKI as from its public half', () => {
    const wholes = [parse(privatePem(privateKey)), parseJwks(json(jwk), fake.engine, { where: 'k' })];
    for (const role of ['signingKeys', 'recipientKeys'] as const) {
      const [pem, same] = wholes.map((keys) => keys[role].map((key) => ({ ...key, seed: null, secret: null })));
      expect(pem).toEqual(same);
    }
    const [[mine], [theirs]] = wholes.map(({ signingKeys: [signer], recipientKeys: [recipient] }) => [
      signer?.seed ?? recipient?.secret,
    ]) as [[never], [never]];
    expect(fake.secretsEqual(mine, theirs)).toBe(true);
    const half = parse(publicPem(publicKey));
    const { d, ...publicHalf } = jwk;
    expect(d).toBeDefined();
    expect(half).toEqual(parseJwks(json(publicHalf), fake.engine, { where: 'k' }));
  });

  test.each([
    ['CRLF line ends', (pem: string) => pem.replaceAll('\n', '\r\n')],
    ['a BOM in front', (pem: string) => `\ufeff${pem}`],
    ['text around it', (pem: string) => `# made by hand\n${pem}\n`],
    ['one long line', (pem: string) => pem.replace(/(?<=[A-Za-z0-9+/])\n(?=[A-Za-z0-9+/])/g, '')],
  ])('is read with %s', (__, change) => {
    const keys = parse(change(privatePem(privateKey)));
    expect(keys.signingKeys.length + keys.recipientKeys.length).toBe(1);
  });

  test('is refused with any byte of its structure changed or cut off, and nothing is left', async () => {
    const der = privateKey.export({ type: 'pkcs8', format: 'der' });
    const wrap = (bytes: Uint8Array): string =>
      `-----BEGIN PRIVATE KEY-----\n${Buffer.from(bytes).toString('base64')}\n-----END PRIVATE KEY-----\n`;
    for (let length = 0; length < 40; length++) {
      const error = await refusal('InvalidKey', () => parse(wrap(der.subarray(0, length))));
      expectNoMaterial(error, [materialOf(privateKey)]);
    }
    for (const at of [0, 1, 2, 5, 6, 9]) {
      const changed = Buffer.from(der);
      changed[at]! ^= 0xff;
      await refusal('InvalidKey', () => parse(wrap(changed)));
    }
    expect(fake.live.size, name).toBe(0);
  });
});

test('several blocks are several keys, as `cat` makes them', () => {
  const text = Object.values(PAIRS).map(({ privateKey }) => privatePem(privateKey)).join(''); // prettier-ignore
  const { signingKeys, recipientKeys } = parse(text);
  expect([signingKeys.length, recipientKeys.map(({ curve }) => curve)]).toEqual([1, ['X25519', 'P-256']]);
});

describe('is refused as what it is', () => {
  const { privateKey, publicKey } = PAIRS.Ed25519;
  const encrypted = { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' } as const;
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const sec1 = PAIRS['P-256'].privateKey;
  const cases: [string, string, RegExp][] = [
    ['an encrypted key', privateKey.export(encrypted) as string, /encrypted with a password/],
    [
      'an encrypted key of the old form',
      sec1.export({ type: 'sec1', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }) as string,
      /encrypted with a password/,
    ],
    ['the SEC 1 form', sec1.export({ type: 'sec1', format: 'pem' }) as string, /SEC 1/],
    ['RSA', privatePem(rsa.privateKey), /RSA/],
    ['RSA, public', publicPem(rsa.publicKey), /RSA/],
    ['RSA, PKCS#1', rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }) as string, /RSA/],
    ['another curve', privatePem(p384.privateKey), /P-384/],
    ['a certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', /certificate/],
    ['OpenSSH', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n', /OpenSSH/],
    ['no end', publicPem(publicKey).split('-----END')[0]!, /cut off/],
    ['no base64', '-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n', /base64/],
    ['a label of its own', '-----BEGIN LETTER-----\nAAAA\n-----END LETTER-----\n', /"LETTER"/],
  ];
  test.each(cases)('%s', async (_, pem, reason) => {
    const error = await refusal('InvalidKey', () => parse(pem));
    expect(error.message).toMatch(reason);
    expect(error).toMatchObject({ path: 'keys.pem' });
    expect(fake.live.size).toBe(0);
  });
});

test('keys of openssl sign, verify, and open licences', async () => {
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const master = { keys: [generateKeys().keys[0]!] };
  const signer = file('signer.pem', privatePem(PAIRS.Ed25519.privateKey));
  const trust = file('trust.pem', publicPem(PAIRS.Ed25519.publicKey));
  const body = saveSync(smallTensors(), { keys: [master, signer] });
  safeOpenSync(body, { keys: master, trust }).getTensorsSync();
  for (const curve of ['X25519', 'P-256'] as const) {
    const to = file(`${curve}-public.pem`, publicPem(PAIRS[curve].publicKey));
    const license = await issueLicense(body, { keys: [master, signer], to });
    const keys = file(`${curve}.pem`, privatePem(PAIRS[curve].privateKey));
    safeOpenSync(body, { license, keys, trust }).getTensorsSync();
  }
  expect(publicJwks(generateKeys()).keys).toHaveLength(1);
});

test('what the openssl program writes is read', () => {
  let pem: string;
  try {
    pem = execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519'], { encoding: 'utf8' });
  } catch {
    return;
  }
  expect(parse(pem).signingKeys).toHaveLength(1);
});
