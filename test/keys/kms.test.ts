import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { CreateKeyCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { cachedKeyProvider, generateKeys, safeOpen, safeOpenSync, saveFile } from 'cryptotensors';
import type { JwkSet, KeyProvider } from 'cryptotensors';
import { createKmsKeys, kmsKeyProvider } from 'cryptotensors/aws-kms';
import type { KmsJwk, KmsKeyProviderOptions, KmsKeySet } from 'cryptotensors/aws-kms';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { refusal } from '../support/errors.js';
import { smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { startKms } from './kms-server.js';
import type { KmsServer } from './kms-server.js';
import { json } from './support.js';

const folder = temporaryFolder();
const signing: JwkSet = { keys: generateKeys({ signKid: 's' }).keys.filter(({ kty }) => kty === 'okp') };
const model = join(folder, 'model.safetensors');
let kms: KmsServer;
let keyId: string;
let otherKeyId: string;
let keys: KmsKeySet;

const makeKmsKey = async (): Promise<string> => (await kms.client.send(new CreateKeyCommand({}))).KeyMetadata!.Arn!;

beforeAll(async () => {
  kms = await startKms();
  [keyId, otherKeyId] = [await makeKmsKey(), await makeKmsKey()];
  keys = await createKmsKeys({ client: kms.client, keyId, encKid: 'm' });
  await saveFile(smallTensors(), model, { keys: [kmsKeyProvider({ client: kms.client, keys }), signing] });
});
afterAll(() => kms.stop());

/** Opens the model with the master key of a key set; the signer is trusted. */
async function open(options: Partial<KmsKeyProviderOptions> | KeyProvider): Promise<number> {
  const provider =
    'name' in options ? (options as KeyProvider) : kmsKeyProvider({ client: kms.client, keys, ...options });
  await using file = await safeOpen(model, { keys: provider, trust: signing });
  return (await file.getTensor('encoder.weight')).shape[0]!;
}
const entry = (): KmsJwk => keys.keys[0]!;

describe('a master key in AWS KMS', () => {
  test('is made without being seen, and is stored as ciphertext', () => {
    expect(Object.keys(entry())).toEqual(['kty', 'alg', 'kid', 'kms_ciphertext']);
    expect(entry()).toMatchObject({ kty: 'oct', alg: 'aes256gcm', kid: 'm' });
    expect(Buffer.from(entry().kms_ciphertext, 'base64').length).toBeGreaterThan(48);
  });

  test('encrypts and opens files', async () => {
    expect(await open({})).toBe(8);
    expect(await open({ keyId })).toBe(8);
    await using file = await safeOpen(model, {
      keys: kmsKeyProvider({ clientConfig: kms.config, keys }),
      trust: signing,
    });
    expect(file.encrypted).toBe(true);
  });

  test('can lie in a file, which is read anew each time, or come as bytes', async () => {
    const path = join(folder, 'kms.json');
    writeFileSync(path, JSON.stringify({ keys: [] }));
    const provider = kmsKeyProvider({ client: kms.client, keys: path });
    await refusal('KeyNotFound', () => open(provider));
    writeFileSync(path, JSON.stringify(keys));
    expect(await open(provider)).toBe(8);
    expect(await open({ keys: json(keys) })).toBe(8);
    expect(await open({ keys: json(entry()) })).toBe(8);
  });

  test.each(['aes128gcm', 'chacha20poly1305'] as const)('can be for %s', async (algorithm) => {
    const set = await createKmsKeys({ clientConfig: kms.config, keyId, algorithm });
    expect(set.keys[0]!.kid).toMatch(/^enc-/);
    const path = join(folder, `${algorithm}.safetensors`);
    const options = { keys: [kmsKeyProvider({ client: kms.client, keys: set }), signing] };
    await saveFile(smallTensors(), path, options);
    await using file = await safeOpen(path, options);
    expect((await file.getTensor('mask')).bytes).toHaveLength(3);
  });

  test('is decrypted once where a cache is in front, and then serves the Sync forms too', async () => {
    const calls: unknown[] = [];
    const client = new KMSClient(kms.config);
    client.middlewareStack.add((next) => (request) => (calls.push(request), next(request)), { step: 'build' });
    using cached = cachedKeyProvider(kmsKeyProvider({ client, keys }));
    await Promise.all([open(cached), open(cached), open(cached)]);
    await open(cached);
    expect(calls).toHaveLength(1);
    await safeOpenSync(model, { keys: cached, trust: signing }).close();
    client.destroy();
  });

  test('is not there for the Sync forms otherwise', async () => {
    const options = { keys: kmsKeyProvider({ client: kms.client, keys }), trust: signing };
    expect((await refusal('KeyUnavailable', () => safeOpenSync(model, options))).message).toContain(
      'it has no findSync',
    );
  });

  test('is not asked for where another is needed, or it is revoked', async () => {
    const client = new KMSClient({ ...kms.config, endpoint: 'http://127.0.0.1:9' });
    expect((await refusal('KeyNotFound', () => open({ client, keys: { keys: [{ ...entry(), kid: 'other' }] } }))).message).toContain('no master key'); // prettier-ignore
    await refusal('KeyRevoked', () => open({ client, keys: { keys: [{ ...entry(), state: 'revoked' }] } }));
    await refusal('KeyRevoked', () => open({ client, keys: json({ kty: 'oct', alg: 'aes256gcm', kid: 'm', state: 'revoked' }) })); // prettier-ignore
    expect((await refusal('KeyUnavailable', () => open({ client }))).message).toContain('AWS KMS does not decrypt');
  });

  test('that is decrypt-only opens files, but encrypts none', async () => {
    const retired: KmsKeySet = { keys: [{ ...entry(), state: 'decrypt-only' }] };
    expect(await open({ keys: retired })).toBe(8);
    const options = { keys: [kmsKeyProvider({ client: kms.client, keys: retired }), signing] };
    await refusal('KeyNotFound', () => saveFile(smallTensors(), join(folder, 'no.safetensors'), options));
  });
});

describe('a ciphertext is bound', () => {
  const denied = async (options: Partial<KmsKeyProviderOptions>): Promise<string> => {
    const { message, cause } = await refusal('KeyUnavailable', () => open(options));
    expect(cause).toBeInstanceOf(Error);
    return message;
  };

  test('to its kid: another key of the set does not pass for it', async () => {
    const other = (await createKmsKeys({ client: kms.client, keyId, encKid: 'n' })).keys[0]!;
    const swapped = { keys: [{ ...other, kid: 'm' }] };
    expect(await denied({ keys: swapped })).toContain(
      'AWS KMS does not decrypt the master key "m": InvalidCiphertextException',
    );
  });

  test('to its algorithm', async () => {
    const chacha = await createKmsKeys({ client: kms.client, keyId, encKid: 'm', algorithm: 'chacha20poly1305' });
    const relabelled: KmsKeySet = { keys: [{ ...chacha.keys[0]!, alg: 'aes256gcm' }] };
    expect(await denied({ keys: relabelled })).toContain('InvalidCiphertextException');
  });

  test("to the caller's own context", async () => {
    const encryptionContext = { tenant: 'a' };
    const set = await createKmsKeys({ client: kms.client, keyId, encKid: 'm', encryptionContext });
    for (const context of [{}, { tenant: 'b' }]) {
      expect(await denied({ keys: set, encryptionContext: context })).toContain('InvalidCiphertextException');
    }
    // Decrypted, though it is another key than the file's.
    await refusal('BadTag', () => open({ keys: set, encryptionContext }));
  });

  test('to the KMS key that the caller names', async () => {
    expect(await denied({ keyId: otherKeyId })).toContain('AWS KMS does not decrypt the master key "m"');
    // A service that does not look at the key id, as AWS does.
    const Plaintext = Uint8Array.from({ length: 32 }, (_, i) => i);
    const client = { send: () => Promise.resolve({ Plaintext, KeyId: otherKeyId }) } as unknown as KMSClient;
    const error = await refusal('KeyUnavailable', () => open({ client, keyId }));
    expect(error.message).toContain('is encrypted under another KMS key than options.keyId');
    expect(Plaintext.every((byte) => byte === 0)).toBe(true);
  });

  test('to its length', async () => {
    const context = { 'cryptotensors:kid': 'm', 'cryptotensors:alg': 'aes256gcm' };
    const { CiphertextBlob } = await kms.client.send(
      new EncryptCommand({ KeyId: keyId, Plaintext: new Uint8Array(31), EncryptionContext: context }),
    );
    const short = { keys: [{ ...entry(), kms_ciphertext: Buffer.from(CiphertextBlob!).toString('base64') }] };
    expect(await denied({ keys: short })).toContain('"key" must be 32 bytes, but is 31');
  });
});

describe('trouble', () => {
  test('with KMS is named, not hung on', async () => {
    const server = createServer(() => undefined).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const client = new KMSClient({
      ...kms.config,
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    });
    const { message } = await refusal('KeyUnavailable', () => open({ client, timeoutMs: 100 }));
    expect(message).toContain('The key provider "aws-kms" gave no usable answer: no answer within 100 ms');
    server.closeAllConnections();
    server.close();
  });

  test.each<[string, unknown, string]>([
    ['no list', { keys: {} }, 'must be a JWK set'],
    ['no object', { keys: [5] }, 'key 0 in options.keys: a key must be a JSON object'],
    ['no kid', { keys: [{ kty: 'oct', alg: 'aes256gcm', kms_ciphertext: 'AAAA' }] }, '"kid" must be a string'],
    ['another kty', { keys: [{ kty: 'okp', kid: 'm' }] }, '"kty" must be "oct"'],
    ['a key in the clear', { keys: [{ kty: 'oct', kid: 'm', k: 'AAAA' }] }, '"k" must not be there'],
    ['no alg', { keys: [{ kty: 'oct', kid: 'm', kms_ciphertext: 'AAAA' }] }, '"alg" must be'],
    ['no ciphertext', { keys: [{ kty: 'oct', kid: 'm', alg: 'aes256gcm' }] }, '"kms_ciphertext" must be'],
    ['an empty ciphertext', { keys: [{ kty: 'oct', kid: 'm', alg: 'aes256gcm', kms_ciphertext: '' }] }, '"kms_ciphertext" must be'],
    ['a ciphertext that is no base64', { keys: [{ kty: 'oct', kid: 'm', alg: 'aes256gcm', kms_ciphertext: 'A_-A' }] }, '"kms_ciphertext" must be'],
    ['an unknown state', { keys: [{ kty: 'oct', kid: 'm', alg: 'aes256gcm', kms_ciphertext: 'AAAA', state: 'x' }] }, '"state" must be'],
    ['a kid twice', { keys: [1, 2].map(() => ({ kty: 'oct', kid: 'm', alg: 'aes256gcm', kms_ciphertext: 'AAAA' })) }, 'another key in this set has the same kid'],
  ])('with the key set: %s', async (_, set, message) => {
    const error = await refusal('InvalidKey', () => kmsKeyProvider({ client: kms.client, keys: set as KmsKeySet }));
    expect(error.message).toContain(message);
  }); // prettier-ignore

  test('with options', async () => {
    const { client } = kms;
    await refusal('InvalidOption', () => kmsKeyProvider({ client, clientConfig: {}, keys }));
    await refusal('InvalidOption', () => kmsKeyProvider({ keys, encryptionContext: { 'cryptotensors:kid': 'x' } }));
    await refusal('InvalidOption', () => createKmsKeys({ keyId, encKid: '' }));
    for (const [options, message] of [
      [{ keys, region: 'x' }, 'unknown option "region"'],
      [{ keys: 5 }, 'options.keys must be a path'],
      [{ keys, client: Object.create(null) as KMSClient }, 'options.client must be a KMSClient'],
      [{ keys, encryptionContext: { a: 1 } }, 'options.encryptionContext["a"] must be a string'],
    ] as [KmsKeyProviderOptions, string][]) {
      expect(() => kmsKeyProvider(options)).toThrow(message);
    }
    await expect(createKmsKeys({ keyId: '' })).rejects.toThrow('options.keyId must be the ARN');
  });
});

test('the provider shows nothing of the client and its credentials', () => {
  const clientConfig = { ...kms.config, credentials: { accessKeyId: 'id', secretAccessKey: 'very-secret' } };
  const provider = kmsKeyProvider({ clientConfig, keys });
  expect(inspect(provider, { depth: Infinity, showHidden: true })).not.toContain('very-secret');
  expect(JSON.stringify(provider)).not.toContain('very-secret');
});
