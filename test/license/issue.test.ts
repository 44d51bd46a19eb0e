import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import {
  KeyRing,
  decryptFile,
  explainPolicy,
  exportLicenseKey,
  generateKeys,
  generateRecipientKeys,
  inspectLicense,
  issueLicense,
  loadFile,
  loadKeys,
  loadSync,
  openLicenseIssuer,
  publicJwks,
  safeOpen,
  safeOpenSync,
  verifyFile,
  verifyFileSync,
  verifyLicense,
} from 'cryptotensors';
import type { AuditEvent, KeyProvider, PolicyInput, AgreementCurve } from 'cryptotensors';
import { sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { headerOf } from '../support/detach.js';
import { refusal } from '../support/errors.js';
import { smallTensors, bytesOf } from '../support/model.js';
import { KeyService } from '../support/remote-master.js';
import { temporaryFolder } from '../support/temporary.js';
import {
  ACME,
  ACME_PUBLIC,
  BODY,
  DAY_MS,
  VENDOR,
  VENDOR_PUBLIC,
  issue,
  makeBody,
  opening,
  partsOf,
} from './support.js';

const folder = temporaryFolder();

/** Whether every tensor is what was saved. */
function expectWhole(tensors: Map<string, { bytes: Uint8Array }>): void {
  const expected = [...smallTensors()].map(([name, { data }]) => [name, Buffer.from(bytesOf(data as never))]);
  const found = [...tensors].map(([name, { bytes }]) => [name, Buffer.from(bytes)]);
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
}

describe('a licence opens its body', () => {
  test.each(['X25519', 'P-256'] as AgreementCurve[])('for a customer with a %s key', async (curve) => {
    const customer = generateRecipientKeys({ curve });
    const license = await issue({ to: publicJwks(customer) });
    await using file = await safeOpen(BODY, opening(license, { keys: customer }));
    expectWhole(await file.getTensors());
    using blocking = safeOpenSync(BODY, opening(license, { keys: customer }));
    expectWhole(blocking.getTensorsSync());
  });

  test.each([
    ['aes128gcm', 2],
    ['aes256gcm', 1],
    ['chacha20poly1305', 2],
    ['chacha20poly1305', 1],
  ] as const)('of %s in version %d', async (algorithm, version) => {
    const keys = generateKeys({ algorithm });
    const body = makeBody({ keys, version, chunkSize: version === 1 ? undefined : 64 } as never);
    const license = await issueLicense(body, { keys, to: ACME_PUBLIC });
    expectWhole(loadSync(body, opening(license, { trust: publicJwks(keys) })));
  });

  test('with plain tensors and their digests', async () => {
    const body = makeBody({ tensors: ['encoder.*'], integrity: 'blake3' });
    const license = await issue({}, body);
    const { unprotected } = await verifyFile(body, opening(license));
    expect(unprotected).toEqual([]);
  });

  test('from files, in every function that opens one', async () => {
    const [body, license, plain] = ['body.ct', 'acme.license', 'plain'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(body, BODY);
    writeFileSync(license, await issue());
    const options = { license, keys: ACME, trust: VENDOR_PUBLIC };
    expectWhole(await loadFile(body, options));
    expect(await verifyFile(body, options)).toMatchObject({ encrypted: true, unprotected: [] });
    expect(verifyFileSync(body, options).signers).toEqual([VENDOR.keys[1]!.kid]);
    await decryptFile(body, plain, options);
    expectWhole(await loadFile(plain));
  });

  test('whatever stands at the beginning of the body: another key, policy or signer', async () => {
    const stranger = generateKeys();
    const { rewrapFile } = await import('cryptotensors');
    const path = join(folder, 'rewrapped.ct');
    writeFileSync(path, BODY);
    await rewrapFile(path, { keys: VENDOR, to: { keys: stranger, policy: { local: 'package model\nallow = false' } } });
    expectWhole(await loadFile(path, opening(await issue())));
  });

  test('issued from its header alone', async () => {
    const license = await issueLicense(headerOf(BODY), { keys: VENDOR, to: ACME_PUBLIC });
    expectWhole(loadSync(BODY, opening(license)));
  });

  test('as an ordinary detached header too, with all that it asks for', async () => {
    const license = await issue({ expires: new Date(Date.now() + DAY_MS) });
    expectWhole(loadSync(BODY, { header: license, keys: ACME, trust: VENDOR_PUBLIC }));
    const late = { policy: { now: () => new Date(Date.now() + 2 * DAY_MS) } };
    await refusal('LicenseExpired', () =>
      safeOpen(BODY, { header: license, keys: ACME, trust: VENDOR_PUBLIC, ...late }),
    );
  });

  test('of a vendor whose signing key is remote, and whose master key is', async () => {
    const service = new KeyService();
    const local = generateKeys();
    const signer = await import('node:crypto').then(({ createPrivateKey }) =>
      createPrivateKey({
        key: { kty: 'OKP', crv: 'Ed25519', x: url(local.keys[1]!.x!), d: url(local.keys[1]!.d!) },
        format: 'jwk',
      }),
    );
    let signatures = 0;
    const hsm: KeyProvider = {
      name: 'hsm',
      find: ({ role, kid }) =>
        role === 'master'
          ? service
          : {
              kid: kid ?? 'hsm-signer',
              publicKey: Buffer.from(local.keys[1]!.x!, 'base64'),
              sign: (message: Uint8Array) => {
                signatures++;
                return Promise.resolve(Uint8Array.from(sign(null, message, signer)));
              },
            },
    };
    const path = join(folder, 'hsm.ct');
    const { saveFile } = await import('cryptotensors');
    await saveFile(smallTensors(), path, { keys: hsm, signKid: 'hsm-signer' });
    signatures = 0;
    const license = await issueLicense(path, { keys: hsm, signKid: 'hsm-signer', to: ACME_PUBLIC });
    expect(signatures).toBe(1);
    const trust = { kty: 'okp', kid: 'hsm-signer', x: local.keys[1]!.x! };
    expectWhole(await loadFile(path, { license, keys: ACME, trust }));
  });

  test('with keys out of a ring, and out of CRYPTOTENSOR_KEYS', async () => {
    const license = await issue();
    using ring = await loadKeys([ACME, VENDOR_PUBLIC]);
    expect(ring).toBeInstanceOf(KeyRing);
    expectWhole(loadSync(BODY, { license, keys: ring }));
    process.env.CRYPTOTENSOR_KEYS = JSON.stringify({ keys: [...ACME.keys, ...VENDOR_PUBLIC.keys] });
    try {
      expectWhole(loadSync(BODY, { license }));
    } finally {
      delete process.env.CRYPTOTENSOR_KEYS;
    }
  });

  test('shared with other threads', async () => {
    const path = join(folder, 'shared.ct');
    writeFileSync(path, BODY);
    await using file = await safeOpen(path, opening(await issue({ claims: { seats: 3 } })));
    const { SafeFile } = await import('cryptotensors');
    await using attached = SafeFile.attach(structuredClone(file.share()));
    expectWhole(await attached.getTensors());
    expect({ ...attached.license() }).toMatchObject({ id: file.license()!.id, claims: { seats: 3 } });
  });
});

const url = (text: string): string => Buffer.from(text, 'base64').toString('base64url');

describe('a licence says', () => {
  const expires = new Date(Date.now() + DAY_MS);
  const notBefore = new Date(Date.now() - DAY_MS);
  const claims = { customer: 'acme', seats: 5, nested: { list: [1, 'two', null, true, -1.5e-7, 2 ** 60] } };
  const policy = { local: 'package model\nallow if input.license.claims.customer == "acme"', remote: 'package model' };

  test('to its policy: what the vendor vouched for, apart from what the caller claims', async () => {
    const license = await issue({ expires, notBefore, claims, policy, id: 'L-1' });
    let seen: PolicyInput | undefined;
    const evaluate = (text: string, input: PolicyInput): boolean => {
      seen = input;
      return text === policy.local;
    };
    await using file = await safeOpen(BODY, opening(license, { claims: { customer: 'eve' }, policy: { evaluate } }));
    expect(file.license()).toMatchObject({ id: 'L-1', expires, notBefore });
    const ns = (time: Date): number => time.getTime() * 1_000_000;
    expect(JSON.parse(JSON.stringify(seen!.license!.claims))).toEqual(claims);
    expect(seen!.license).toMatchObject({ id: 'L-1', expires_ns: ns(expires), not_before_ns: ns(notBefore) });
    expect(seen!.claims).toEqual({ customer: 'eve' });
  });

  test('who may open it, by the policy that is its own', async () => {
    const allowed = await issue({ claims, policy });
    expect((await safeOpen(BODY, opening(allowed))).encrypted).toBe(true);
    const denied = await issue({ claims: { customer: 'eve' }, policy });
    await refusal('PolicyDenied', () => safeOpen(BODY, opening(denied, { claims: { customer: 'acme' } })));
    expect((await inspectLicense(denied)).policy).toEqual(policy);
  });

  test('to whoever asks what its policy would decide', async () => {
    const license = await issue({ id: 'L', claims, policy });
    const { outcome, verified, input } = await explainPolicy(license, { trust: VENDOR_PUBLIC });
    expect({ outcome, verified, license: input.license }).toMatchObject({
      outcome: 'allowed',
      verified: true,
      license: { id: 'L', claims: Object.keys(claims) },
    });
    const told = { id: 'M', claims: {}, issued_ns: 0n, expires_ns: null, not_before_ns: null };
    expect(await explainPolicy(license, { trust: VENDOR_PUBLIC, license: told })).toMatchObject({ outcome: 'denied' });
  });

  test('the policy of the body, where it has none of its own', async () => {
    const body = makeBody({ policy });
    expect((await inspectLicense(await issue({}, body))).policy).toEqual(policy);
    const other = await inspectLicense(await issue({ policy: { remote: 'package r' } }, body));
    expect(other.policy).toEqual({ local: policy.local, remote: 'package r' });
  });

  test('everything but secrets to whoever inspects it', async () => {
    const license = await issue({ expires, notBefore, claims, id: 'L-1' });
    const found = await inspectLicense(license);
    expect(found).toMatchObject({ verified: false, id: 'L-1', expires, notBefore, tensors: 6, bytes: license.length });
    expect(found.recipient).toEqual({ thumbprint: ACME.keys[0]!.kid, curve: 'X25519' });
    const { keys } = await exportLicenseKey(license, { keys: ACME, trust: VENDOR_PUBLIC });
    for (const secret of [keys[0]!.k!, VENDOR.keys[0]!.k!, VENDOR.keys[1]!.d!, ACME.keys[0]!.d!]) {
      expect(inspect(found, { depth: 9 })).not.toContain(secret.slice(0, 12));
      expect(Buffer.from(license).toString('latin1')).not.toContain(secret.slice(0, 12));
    }
  });

  test('the same to whoever verifies it, without any private key', async () => {
    const license = await issue({ expires, id: 'L-2' });
    const facts = await verifyLicense(license, { trust: VENDOR_PUBLIC, body: BODY });
    expect(facts).toMatchObject({
      id: 'L-2',
      expires,
      signer: VENDOR.keys[1]!.kid,
      recipient: { thumbprint: ACME.keys[0]!.kid, curve: 'X25519' },
    });
    expect(facts.body).toBe((await inspectLicense(license)).body);
    expect(await verifyLicense(license, { trust: VENDOR_PUBLIC, body: headerOf(BODY) })).toEqual(facts);
  });

  test('that it was opened, to whoever listens', async () => {
    const events: AuditEvent[] = [];
    const license = await issue({ id: 'L-3' });
    await safeOpen(BODY, opening(license, { onEvent: (event) => events.push(event) }));
    expect(
      events.map((event) => [event.type, 'role' in event ? event.role : null, 'kid' in event ? event.kid : null]),
    ).toEqual([
      ['key-used', 'verifying', VENDOR.keys[1]!.kid],
      ['key-used', 'recipient', ACME.keys[0]!.kid],
      ['key-used', 'master', 'L-3'],
      ['opened', null, 'L-3'],
    ]);
  });
});

describe('each licence', () => {
  test('has a master key of its own, under which the data keys are wrapped anew', async () => {
    using issuer = await openLicenseIssuer(BODY, { keys: VENDOR });
    const licenses = await Promise.all(Array.from({ length: 8 }, () => issuer.issue({ to: ACME_PUBLIC })));
    const exported = await Promise.all(
      licenses.map((license) => exportLicenseKey(license, { keys: ACME, trust: VENDOR_PUBLIC })),
    );
    expect(new Set([VENDOR.keys[0]!.k, ...exported.map(({ keys }) => keys[0]!.k)]).size).toBe(9);
    const wrapped = licenses.flatMap((license) =>
      Buffer.from(license)
        .toString()
        .match(/wrapped_key.{50}/g)!,
    );
    expect(new Set(wrapped).size).toBe(wrapped.length);
    expect(new Set(licenses.map((license) => partsOf(license).jwe[0])).size).toBe(8);
  });

  test('is hardly larger than the header that it is made from without its padding', async () => {
    const { encryption } = await import('cryptotensors').then(({ inspectFileSync }) => inspectFileSync(BODY));
    expect(encryption).not.toBeNull();
    const own = Buffer.from(headerOf(BODY)).toString().trimEnd().length;
    const license = await issue();
    expect(license.length).toBeLessThan(own + 900);
    expect(Buffer.from(license).toString().trimEnd().length).toBeGreaterThan(license.length - 8);
  });

  test('can be given its key by name where the customer has several', async () => {
    const to = { keys: [...ACME_PUBLIC.keys, ...publicJwks(generateRecipientKeys({ kid: 'second' })).keys] };
    await refusal('InvalidOption', () => issue({ to }));
    const found = await inspectLicense(await issue({ to, toKid: ACME.keys[0]!.kid! }));
    expect(found.recipient.thumbprint).toBe(ACME.keys[0]!.kid);
    await refusal('KeyNotFound', () => issue({ to, toKid: 'third' }));
  });
});

describe('issuing refuses', () => {
  test.each([
    ['a time that is no Date', { expires: '2030-01-01' as never }, TypeError],
    ['no customer', { to: undefined as never }, TypeError],
    ['claims that are no JSON', { claims: { f: () => 1 } as never }, TypeError],
    ['an unknown option', { expire: new Date() } as never, TypeError],
  ])('%s', async (_, options, type) => {
    await expect(issue(options)).rejects.toThrow(type);
  });

  test.each([
    ['an end before the beginning', { expires: new Date(2030, 1), notBefore: new Date(2031, 1) }, 'InvalidOption'],
    ['an end in the past', { expires: new Date(2020, 1) }, 'InvalidOption'],
    ['a time that is none', { expires: new Date(NaN) }, 'InvalidOption'],
    ['a time that a policy cannot hold', { expires: new Date('2300-01-01') }, 'InvalidOption'],
    ['an empty id', { id: '' }, 'InvalidOption'],
    ['a long id', { id: 'x'.repeat(201) }, 'InvalidOption'],
    ['an id that is no Unicode', { id: '\ud800' }, 'InvalidOption'],
    ['claims of two megabytes', { claims: { text: 'x'.repeat(2 << 20) } }, 'InvalidOption'],
    ['a policy that does not compile', { policy: { local: 'package model\nallow if {' } }, 'PolicyError'],
    ['a key that is the vendor’s own', { to: VENDOR_PUBLIC }, 'KeyNotFound'],
    [
      'a retired key of the customer',
      { to: { ...ACME_PUBLIC.keys[0]!, state: 'decrypt-only' } as const },
      'KeyNotFound',
    ],
    ['a revoked key of the customer', { to: { ...ACME_PUBLIC.keys[0]!, state: 'revoked' } as const }, 'KeyRevoked'],
    ['another master key', { keys: generateKeys(), trust: VENDOR_PUBLIC }, 'KeyNotFound'],
    ['without a private signing key', { keys: [VENDOR.keys[0]!, VENDOR_PUBLIC] }, 'KeyNotFound'],
    ['a body of another signer', { trust: publicJwks(generateKeys()) }, 'UntrustedSigner'],
  ] as const)('%s', async (_, options, code) => {
    await refusal(code, () => issue(options));
  });

  test('an X25519 key of small order, which would give the key to everybody', async () => {
    const to = { kty: 'OKP', crv: 'X25519', x: Buffer.alloc(32).toString('base64url') };
    await refusal('InvalidKey', () => issue({ to }));
  });

  test('a plain body, and a body that is a licensed copy', async () => {
    const { saveSync } = await import('cryptotensors');
    await refusal('NotEncrypted', () => issue({}, saveSync(smallTensors())));
    const license = await issue();
    const error = await refusal('InvalidOption', () =>
      issueLicense(license, { keys: [ACME, generateKeys()], trust: VENDOR_PUBLIC, to: ACME_PUBLIC }),
    );
    expect(error.message).toContain('licence');
  });

  test('a disposed issuer, which shows nothing', async () => {
    const issuer = await openLicenseIssuer(BODY, { keys: VENDOR });
    expect(inspect(issuer)).toBe(`LicenseIssuer { body ${issuer.body} }`);
    expect(JSON.stringify(issuer)).toBe(JSON.stringify({ body: issuer.body }));
    issuer.dispose();
    issuer.dispose();
    await refusal('Closed', () => issuer.issue({ to: ACME_PUBLIC }));
  });
});

test('the body is neither written to nor read beyond its header', async () => {
  const path = join(folder, 'garbage.ct');
  // What is not its data, so that anything that read it would notice.
  const garbage = Uint8Array.from(BODY);
  garbage.fill(0xaa, headerOf(BODY).length);
  writeFileSync(path, garbage);
  const before = statSync(path, { bigint: true });
  using issuer = await openLicenseIssuer(path, { keys: VENDOR });
  const license = await issuer.issue({ to: ACME_PUBLIC });
  const { mtimeNs, ino, size } = statSync(path, { bigint: true });
  expect({ mtimeNs, ino, size }).toEqual({ mtimeNs: before.mtimeNs, ino: before.ino, size: before.size });
  expectWhole(loadSync(BODY, opening(license)));
  await refusal('BadTag', () => loadFile(path, opening(license)));
});
