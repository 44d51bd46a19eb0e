import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import {
  loadFile,
  loadSync,
  generateKeys,
  generateRecipientKeys,
  publicJwks,
  safeOpen,
  safeOpenSync,
  saveSync,
  verifyLicense,
  CryptoTensorsError,
} from 'cryptotensors';
import type { ErrorCode, OpenOptions, PolicyInput } from 'cryptotensors';
import { encodeHeader } from '#dist/format/canonical.js';
import { describe, expect, test } from 'vitest';
import { dataOf, headerFrom, headerOf } from '../support/detach.js';
import { refusal } from '../support/errors.js';
import { saveSmallModel, smallTensors, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import {
  ACME,
  ACME_PUBLIC,
  BODY,
  DAY_MS,
  OTHER,
  VENDOR,
  VENDOR_PUBLIC,
  headerJson,
  impostor,
  inDays,
  issue,
  makeBody,
  opening,
  partsOf,
  resign,
  withLength,
  withTerms,
} from './support.js';

const folder = temporaryFolder();
const LICENSE = await issue({ id: 'L', claims: { customer: 'acme' }, expires: new Date(Date.now() + 10 * DAY_MS) });

function refused(
  code: ErrorCode,
  license: Uint8Array,
  options: OpenOptions = {},
  body = BODY,
): Promise<CryptoTensorsError> {
  return refusal(code, () => safeOpenSync(body, opening(license, options)));
}

describe('a licence of somebody else', () => {
  test('another customer’s: no key of theirs opens it', async () => {
    const error = await refused('KeyNotFound', LICENSE, { keys: OTHER });
    expect(error.message).toContain(ACME.keys[0]!.kid);
    expect(error.message).toContain('another customer');
    expect(error.kid).toBe(ACME.keys[0]!.kid);
  });

  test('of the customer’s public key, or of a revoked one', async () => {
    await refused('KeyNotFound', LICENSE, { keys: ACME_PUBLIC });
    await refused('KeyRevoked', LICENSE, { keys: [ACME, { ...ACME_PUBLIC.keys[0]!, state: 'revoked' }] });
  });

  test('an attacker’s key under the name of the customer’s opens nothing', async () => {
    const [key] = generateRecipientKeys({ kid: ACME.keys[0]!.kid! }).keys;
    await refused('KeyNotFound', LICENSE, { keys: key! });
  });

  test('of a signer that is not trusted, one that took the vendor’s name, and where nobody is trusted', async () => {
    await refused('UntrustedSigner', LICENSE, { trust: publicJwks(generateKeys()) });
    await refused('BadSignature', LICENSE, { trust: publicJwks(impostor()) });
    await refusal('KeyNotFound', () => safeOpen(BODY, { license: LICENSE, keys: ACME }));
  });

  test('issued by an attacker for a body of theirs, in the vendor’s name', async () => {
    const keys = impostor();
    const forged = await issue({ keys }, makeBody({ keys }));
    await refused('BadSignature', forged);
  });

  test('for another body, though it has the same tensors', async () => {
    for (const body of [makeBody(), makeBody({ chunkSize: 128 }), makeBody({ tensors: ['encoder.*'] })]) {
      const error = await refused('LicenseMismatch', LICENSE, {}, body);
      expect(error.expected).toMatch(/^[0-9a-f]{64}$/);
      expect(error.found).toMatch(/^[0-9a-f]{64}$/);
      await refusal('LicenseMismatch', () => verifyLicense(LICENSE, { trust: VENDOR_PUBLIC, body }));
    }
  });

  test('for a plain file, and for one whose header is damaged', async () => {
    expect((await refused('LicenseMismatch', LICENSE, {}, saveSync(smallTensors()))).found).toBe('plain');
    const header = headerJson(headerOf(BODY));
    header.__metadata__.__encryption__ = '{}}';
    const damaged = Buffer.concat([withLength(header), dataOf(BODY)]);
    expect((await refused('LicenseMismatch', LICENSE, {}, damaged)).found).toBe('damaged');
    await refused('InvalidHeaderLength', LICENSE, {}, BODY.subarray(0, 100));
  });

  test('over the header of its body, with other data behind it', async () => {
    const other = dataOf(makeBody());
    await refusal('BadTag', () => loadSync(Buffer.concat([headerOf(BODY), other]), opening(LICENSE)));
  });
});

describe('time', () => {
  test('that is over: LicenseExpired, from the millisecond on', async () => {
    const expires = new Date(Date.now() + DAY_MS);
    const license = await issue({ expires });
    const at = (ms: number): OpenOptions => ({ policy: { now: () => new Date(ms) } });
    expect(safeOpenSync(BODY, opening(license, at(expires.getTime() - 1))).encrypted).toBe(true);
    const error = await refused('LicenseExpired', license, at(expires.getTime()));
    expect(error.expected).toBe(expires.toISOString());
    await refusal('LicenseExpired', () => verifyLicense(license, { trust: VENDOR_PUBLIC, now: () => expires }));
  });

  test('that is not come: LicenseNotYetValid', async () => {
    const notBefore = new Date(Date.now() + DAY_MS);
    const license = await issue({ notBefore });
    await refused('LicenseNotYetValid', license);
    expect(safeOpenSync(BODY, opening(license, inDays(1.01))).encrypted).toBe(true);
  });

  test('by a clock that was set back before the licence was issued', async () => {
    const error = await refused('LicenseNotYetValid', LICENSE, inDays(-1));
    expect(error.message).toContain('set the clock right');
    // Of a vendor's clock that is a little ahead nobody complains.
    expect(safeOpenSync(BODY, opening(LICENSE, inDays(-4 / 1440))).encrypted).toBe(true);
    await refused('LicenseNotYetValid', LICENSE, inDays(-6 / 1440));
  });

  test('in nanoseconds, and before the policy is asked or a key is looked for', async () => {
    const evaluate = (): never => {
      throw new Error('asked');
    };
    const now = (): bigint => BigInt(Date.now() + 11 * DAY_MS) * 1_000_000n;
    await refused('LicenseExpired', LICENSE, { keys: OTHER, policy: { evaluate, now } });
  });
});

describe('what was changed', () => {
  const parts = partsOf(LICENSE);

  test.each(Object.keys(parts.terms))('"%s" of the licence', async (name) => {
    const { header, terms } = partsOf(LICENSE);
    const { terms: others } = partsOf(await issue({ claims: { customer: 'eve' }, expires: new Date('2099-01-01') }));
    for (const value of [others[name], undefined, 'x', 7, null, {}]) {
      if (JSON.stringify(value) === JSON.stringify(terms[name])) continue;
      header.__metadata__.__license__ = JSON.stringify({ ...terms, [name]: value });
      await refused('BadSignature', withLength(header));
    }
  });

  test('the licence taken out, put in twice, or put into another header', async () => {
    const { header } = partsOf(LICENSE);
    delete header.__metadata__.__license__;
    await refused('InvalidLicense', withLength(header));
    await refusal('BadSignature', () =>
      safeOpen(BODY, { header: withLength(header), keys: ACME, trust: VENDOR_PUBLIC }),
    );
    const other = partsOf(await issue({ id: 'M' }));
    for (const key of Object.keys(other.header.__metadata__)) {
      const { header: mixed } = partsOf(LICENSE);
      if (mixed.__metadata__[key] === other.header.__metadata__[key]) continue;
      mixed.__metadata__[key] = other.header.__metadata__[key]!;
      await refused('BadSignature', withLength(mixed));
    }
    const doubled = Buffer.from(LICENSE.subarray(8))
      .toString()
      .replace('"__license__":', '"__license__":"{}","__license__":');
    await refused('InvalidLicense', headerFrom(Buffer.from(doubled.trimEnd())));
  });

  test('its key, for that of another licence: also where the vendor signs that', async () => {
    const { jwe } = partsOf(await issue({ id: 'M' }));
    const { header, terms } = partsOf(LICENSE);
    header.__metadata__.__license__ = JSON.stringify({ ...terms, key: jwe.join('.') });
    await refused('BadSignature', withLength(header));
    expect((await refused('InvalidLicense', resign(header))).message).toContain('not the one that its header names');
  });

  test('any bit', () => {
    const body = saveSync({ t: { shape: [2], data: Float32Array.of(1, 2) } }, { keys: VENDOR });
    return issue({ id: 'L' }, body).then((license) => {
      const options = opening(license);
      const codes = new Map<string, number>();
      for (let bit = 0; bit < license.length * 8; bit++) {
        license[bit >> 3]! ^= 1 << (bit & 7);
        let code = 'opened';
        try {
          safeOpenSync(body, options)
            .close()
            .catch(() => undefined);
        } catch (error) {
          code = error instanceof CryptoTensorsError ? error.code : String(error);
        }
        codes.set(code, (codes.get(code) ?? 0) + 1);
        license[bit >> 3]! ^= 1 << (bit & 7);
      }
      expect([...codes.keys()].sort()).toEqual([
        'BadSignature',
        'InvalidCryptoMetadata',
        'InvalidLicense',
        'UnsupportedAlgorithm',
        'UnsupportedVersion',
        'UntrustedSigner',
      ]);
      expect(safeOpenSync(body, options).encrypted).toBe(true);
    });
  }, 120_000);

  test('its end, wherever it was cut off', () => {
    for (let length = 0; length < LICENSE.length; length++) {
      const cut = LICENSE.slice(0, length);
      for (const fixed of length < 8 ? [cut] : [cut, headerFrom(cut.subarray(8))]) {
        const code = codeOf(() => safeOpenSync(BODY, opening(fixed)));
        // The last bytes may be padding.
        if (code !== null || !/^ *$/.test(Buffer.from(LICENSE.subarray(length)).toString()))
          expect(code, String(length)).toBe('InvalidLicense');
      }
    }
  }, 120_000);

  test('its beginning, or anything behind it', async () => {
    await refused('InvalidLicense', LICENSE.subarray(1));
    await refused('InvalidLicense', Buffer.concat([LICENSE, Buffer.of(0x20)]));
    await refused('InvalidLicense', Buffer.concat([LICENSE, LICENSE]));
  });
});

function codeOf(work: () => unknown): string | null {
  try {
    work();
    return null;
  } catch (error) {
    return (error as CryptoTensorsError).code;
  }
}

describe('what is no licence', () => {
  test.each([
    ['nothing', new Uint8Array(0)],
    ['JSON', Buffer.from(JSON.stringify({ id: 'L', key: 'x' }))],
    ['a key file', Buffer.from(JSON.stringify(ACME))],
    ['the body itself', BODY],
    ['a header without a licence in it', headerOf(BODY)],
    ['a plain header', encodeHeader({ metadata: new Map([['__license__', '{}']]), tensors: [] })],
    ['zeros', new Uint8Array(4096)],
  ])('%s', async (_, bytes) => {
    await refused('InvalidLicense', bytes);
    await refusal('InvalidLicense', () => verifyLicense(bytes, { trust: VENDOR_PUBLIC }));
  });

  test('a file that is not there, by its path', async () => {
    const error = await refusal('FileError', () => safeOpen(BODY, { license: join(folder, 'none'), keys: ACME }));
    expect(error.path).toBe(join(folder, 'none'));
  });

  test('a file of more than 100 MB, before any of it is read', async () => {
    const path = join(folder, 'huge');
    const file = openSync(path, 'w');
    writeSync(file, Buffer.from([0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0])); // 100,000,001
    ftruncateSync(file, 100_000_009);
    closeSync(file);
    const before = process.memoryUsage().arrayBuffers;
    const error = await refusal('InvalidLicense', () =>
      safeOpen(BODY, { license: path, keys: ACME, trust: VENDOR_PUBLIC }),
    );
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
    expect([error.path, (error.cause as CryptoTensorsError).code]).toEqual([path, 'HeaderTooLarge']);
    // And one of 100 MB whose header is short.
    const other = openSync(path, 'w');
    writeSync(other, LICENSE);
    ftruncateSync(other, 100_000_000);
    closeSync(other);
    await refusal('InvalidLicense', () => safeOpen(BODY, { license: path, keys: ACME, trust: VENDOR_PUBLIC }));
  });

  test('one with a header option beside it, or for a sharded model', async () => {
    await refused('InvalidOption', LICENSE, { header: LICENSE });
    saveSmallModel(folder, 'model.safetensors', {});
    const index = join(folder, 'model.safetensors.index.json');
    writeShardIndex(index, Object.fromEntries([...smallTensors().keys()].map((name) => [name, 'model.safetensors'])));
    await refusal('InvalidOption', () => safeOpen(index, opening(LICENSE)));
  });
});

describe('what the vendor should not have signed: terms with', () => {
  const { terms } = partsOf(LICENSE);
  const bad: [string, Record<string, unknown> | string][] = [
    ['another version', { version: '2' }],
    ['no version', { version: undefined }],
    ['a member that nobody knows', { seats: 5 }],
    ['no id', { id: undefined }],
    ['an empty id', { id: '' }],
    ['an id that is a number', { id: 5 }],
    ['no time of issue', { issued: undefined }],
    ['a time as a number', { issued: 1_700_000_000 }],
    ['a time without milliseconds', { expires: '2030-01-01T00:00:00Z' }],
    ['a time in another zone', { expires: '2030-01-01T00:00:00.000+01:00' }],
    ['a day that there is not', { expires: '2030-02-30T00:00:00.000Z' }],
    ['a time that is null', { expires: null }],
    ['a year that nanoseconds do not reach', { expires: '9999-01-01T00:00:00.000Z' }],
    ['no claims', { claims: undefined }],
    ['claims that are a list', { claims: [] }],
    ['claims nested too deep', { claims: { a: JSON.parse('['.repeat(80) + ']'.repeat(80)) as unknown } }],
    ['no key', { key: undefined }],
    ['a key that is an object', { key: {} }],
    ['something that is no JSON', '{"version":"1"'],
    ['a list', '[]'],
    ['a member twice', JSON.stringify(terms).replace('{', '{"id":"L",')],
    ['a number that is too large', JSON.stringify(terms).replace('"acme"', '1e999')],
    ['five megabytes of claims', { claims: { text: 'x'.repeat(5_000_000) } }],
  ];
  test.each(bad)('%s', async (_, change) => {
    const text = typeof change === 'string' ? change : JSON.stringify({ ...terms, ...change });
    const license = withTerms(LICENSE, text);
    await refused('InvalidLicense', license);
    await refusal('InvalidLicense', () => verifyLicense(license, { trust: VENDOR_PUBLIC }));
  });
});

test('claims that look like prototypes are names like any other', async () => {
  const claims = JSON.parse(
    '{"__proto__":{"admin":true},"constructor":{"prototype":{"x":1}},"toString":"no"}',
  ) as Record<string, never>;
  const license = await issue({ claims });
  let seen: PolicyInput | undefined;
  const evaluate = (_: string, input: PolicyInput): boolean => {
    seen = input;
    return true;
  };
  using file = safeOpenSync(BODY, opening(license, { policy: { evaluate } }));
  expect(JSON.stringify(seen!.license!.claims)).toBe(JSON.stringify(claims));
  expect(Object.getPrototypeOf(seen!.license!.claims)).toBeNull();
  expect(Object.keys(file.license()!.claims)).toEqual(['__proto__', 'constructor', 'toString']);
  expect(({} as { admin?: boolean }).admin).toBeUndefined();
  const policy = { local: 'package model\nallow if input.license.claims.admin' };
  await refused('PolicyDenied', await issue({ claims, policy }));
});

test('the path of the body is in what is refused', async () => {
  const path = join(folder, 'body.ct');
  writeFileSync(path, BODY);
  const error = await refusal('LicenseExpired', () => loadFile(path, opening(LICENSE, inDays(20))));
  expect(error.kid).toBe('L');
});
