import { generateKeys, safeOpen, safeOpenSync, save, saveSync } from 'cryptotensors';
import type { Jwk, KeyProvider, RemoteMasterKey } from 'cryptotensors';
import { isTransient } from '#dist/keys/unavailable.js';
import { describe, expect, test } from 'vitest';
import { refusal } from '../support/errors.js';
import { smallTensors } from '../support/model.js';
import { KeyService } from '../support/remote-master.js';

const KEYS = generateKeys();
const [MASTER, SIGNER] = KEYS.keys as [Jwk, Jwk];
const MODEL = saveSync(smallTensors(), { keys: KEYS });
const never = (): Promise<never> => new Promise(() => undefined);
const failing = (error: unknown): KeyProvider => ({
  name: 'vault',
  find: () => {
    throw error as Error;
  },
});

describe('what may succeed later', () => {
  const system = (code: string): Error => Object.assign(new Error('x'), { code });
  const named = (name: string, more = {}): Error => Object.assign(new Error('x'), { name, ...more });
  test.each([
    ['a refused connection', system('ECONNREFUSED'), true],
    ['a name server that is away', system('EAI_AGAIN'), true],
    ['throttling', named('ThrottlingException'), true],
    ['what the SDK says itself', named('Odd', { $retryable: {} }), true],
    ['a server that fails', named('Odd', { $metadata: { httpStatusCode: 503 } }), true],
    ['what a provider says itself', Object.assign(new Error('x'), { retryable: true }), true],
    ['a cause of that kind', new Error('x', { cause: system('ETIMEDOUT') }), true],
    ['a denial', named('AccessDeniedException', { $metadata: { httpStatusCode: 400 } }), false],
    ['what a provider says will not', Object.assign(system('ETIMEDOUT'), { retryable: false }), false],
    ['a bug', new TypeError('x'), false],
    ['no error', 'x', false],
  ])('%s', async (_, error, retryable) => {
    expect(isTransient(error)).toBe(retryable);
    const refused = await refusal('KeyUnavailable', () => safeOpen(MODEL, { keys: failing(error) }));
    expect(refused).toMatchObject({ retryable, cause: { message: 'x' } });
  });

  test('not what goes round in circles', () => {
    const error = new Error('x');
    error.cause = error;
    expect(isTransient(error)).toBe(false);
  });
});

test('a key that nobody has is not found; one whose provider fails is not available', async () => {
  const none: KeyProvider = { name: 'empty', findSync: () => null };
  await refusal('KeyNotFound', () => safeOpenSync(MODEL, { keys: none, trust: SIGNER as never }));
  await refusal('KeyUnavailable', () =>
    safeOpen(MODEL, { keys: [none, failing(new Error('x'))], trust: SIGNER as never }),
  );
  await refusal('KeyUnavailable', () => safeOpen(MODEL, { keys: MASTER as never, trust: failing(new Error('x')) }));
  await refusal('KeyUnavailable', () => save(smallTensors(), { keys: failing(new Error('x')) }));
});

describe('a remote key honours the time that its provider has', () => {
  const service = new KeyService();
  const key = { kid: 'hsm', algorithm: 'aes256gcm', unwrap: never, wrap: never };
  const slow = (answer: object): KeyProvider => ({
    name: 'hsm',
    timeoutMs: 150,
    find: () => Promise.resolve(answer as RemoteMasterKey),
  });
  const signer = { publicKey: Buffer.from((SIGNER as { x: string }).x, 'base64'), kid: 'hsm-signer', sign: never };
  const within = async (work: () => Promise<unknown>): Promise<void> => {
    const started = performance.now();
    expect(await refusal('KeyUnavailable', work)).toMatchObject({ retryable: true });
    expect(performance.now() - started).toBeLessThan(8_000);
  };

  test('to wrap', () => within(() => save(smallTensors(), { keys: [SIGNER, slow(key)] })));

  test('to unwrap', async () => {
    const bytes = await save(smallTensors(), { keys: [SIGNER, service.provider] });
    await within(() => safeOpen(bytes, { keys: slow(key), trust: SIGNER as never }));
  });

  test('to sign', () => within(() => save(smallTensors(), { keys: [MASTER, slow(signer)] })));
});
