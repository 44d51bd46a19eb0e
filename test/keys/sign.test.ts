import { AbortError } from '#dist/errors.js';
import { lookUpSigningKey } from '#dist/keys/lookup.js';
import type { RawSigningKey } from '#dist/keys/providers/types.js';
import { ringContents } from '#dist/keys/keyring.js';
import { signMessage } from '#dist/keys/sign.js';
import type { RemoteSigner, SigningKey } from '#dist/keys/types.js';
import { runAsync, runSync } from '#dist/twin.js';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { findSigningKey } from './look-up.js';
import { D_A, D_B, SIGNER, X_A, base64, refusal, ringOf, utf8 } from './support.js';

const MESSAGE = utf8('{"__metadata__":{}}');
let fake: FakeEngine;
beforeEach(() => {
  fake = new FakeEngine();
});
const secret = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const signWith =
  (seed: string): RemoteSigner =>
  (message) =>
    Promise.resolve(fake.ed25519Sign(fake.importSecret(secret(seed)), message));

function remoteKey(sign: RemoteSigner): Promise<SigningKey> {
  const answer: RawSigningKey = { publicKey: secret(X_A), sign };
  const ring = ringOf(fake.engine, { name: 'hsm', find: () => Promise.resolve(answer) });
  return runAsync(lookUpSigningKey(ring, 'hsm-key', { engine: fake.engine }));
}

test('a seed at hand signs, both ways', async () => {
  const key = findSigningKey(ringContents(ringOf(fake.engine, SIGNER)));
  const signature = runSync(signMessage(key, MESSAGE, { engine: fake.engine }));
  expect(fake.ed25519Verify(secret(X_A), MESSAGE, signature)).toBe(true);
  expect(await runAsync(signMessage(key, MESSAGE, { engine: fake.engine }))).toEqual(signature);
});

test('a public key does not', async () => {
  const key: SigningKey = { kid: 's', jku: null, state: 'active', publicKey: secret(X_A), seed: null, remote: null };
  const error = await refusal('KeyNotFound', () => runSync(signMessage(key, MESSAGE, { engine: fake.engine })));
  expect(error.message).toContain('can verify but not sign');
});

describe('a key service', () => {
  const sign = async (signer: RemoteSigner, signal?: AbortSignal): Promise<Uint8Array> =>
    runAsync(signMessage(await remoteKey(signer), MESSAGE, { engine: fake.engine, signal }));

  test('signs with a key that never comes here', async () => {
    const key = await remoteKey(signWith(D_A));
    expect(key).toMatchObject({ kid: 'hsm-key', seed: null });
    const signature = await runAsync(signMessage(key, MESSAGE, { engine: fake.engine }));
    const expected = fake.ed25519Sign(fake.importSecret(secret(D_A)), MESSAGE);
    expect(base64(signature)).toBe(base64(expected));
  });

  const wrong: [string, RemoteSigner][] = [
    ['by another key', (message, options) => signWith(D_B)(message, options)],
    ['over another message', (_, options) => signWith(D_A)(utf8('other'), options)],
    ['that is too short', () => Promise.resolve(new Uint8Array(63))],
    ['that is text', () => Promise.resolve('signature' as unknown as Uint8Array)],
    ['that is nothing', () => Promise.resolve(undefined as unknown as Uint8Array)],
  ];
  test.each(wrong)('is not believed a signature %s', async (_, signer) => {
    const error = await refusal('BadSignature', () => sign(signer));
    expect(error.message).toContain('the signing key "hsm-key"');
  });

  test('cannot change what is signed', async () => {
    await sign((message, options) => {
      const signature = signWith(D_A)(message, options);
      message.fill(0);
      return signature;
    });
    expect(new TextDecoder().decode(MESSAGE)).toBe('{"__metadata__":{}}');
  });

  test('that fails is the cause of a refusal', async () => {
    const error = await refusal('KeyUnavailable', () => sign(() => Promise.reject(new Error('down'))));
    expect(error.cause).toMatchObject({ name: 'Error', message: 'down' });
  });

  test('is not waited for without end', async () => {
    vi.useFakeTimers();
    try {
      const waiting = refusal('KeyUnavailable', () => sign(() => new Promise(() => undefined)));
      await vi.advanceTimersByTimeAsync(10_000);
      expect(((await waiting).cause as Error).message).toBe('no answer within 10000 ms');
    } finally {
      vi.useRealTimers();
    }
  });

  test('is told when the caller gives up', async () => {
    const controller = new AbortController();
    let told = false;
    const signer: RemoteSigner = (_, { signal }) => {
      signal.addEventListener('abort', () => (told = true));
      controller.abort();
      return new Promise(() => undefined);
    };
    await expect(sign(signer, controller.signal)).rejects.toBeInstanceOf(AbortError);
    expect(told).toBe(true);
  });

  test('cannot serve the Sync forms, which says so', async () => {
    const key = await remoteKey(signWith(D_A));
    const error = await refusal('KeyUnavailable', () => runSync(signMessage(key, MESSAGE, { engine: fake.engine })));
    expect(error.message).toContain('only the functions without Sync');
  });
});
