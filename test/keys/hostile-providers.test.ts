import { inspect } from 'node:util';
import { generateKeys, loadKeys, safeOpen, safeOpenSync, saveSync } from 'cryptotensors';
import type { KeyProvider, KeysInput, RemoteMasterKey } from 'cryptotensors';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { refusal } from '../support/errors.js';
import { smallTensors } from '../support/model.js';

const keys = generateKeys();
const FILE = saveSync(smallTensors(), { keys });
const SECRET = 'AAAAB3NzaC1yc2EAAAADAQABAAABgQC7';

const unhandled: unknown[] = [];
const note = (reason: unknown): void => void unhandled.push(reason);
beforeEach(() => void process.on('unhandledRejection', note));
afterEach(() => void process.off('unhandledRejection', note));

test('a findSync that returns a promise is told so, and its rejection ends nothing', async () => {
  unhandled.length = 0;
  const provider = { name: 'vault', findSync: () => Promise.reject(new Error(SECRET)) } as unknown as KeyProvider;
  const error = await refusal('KeyUnavailable', () => safeOpenSync(FILE, { keys: provider, trust: keys }));
  expect(error.message).toContain('its findSync returned a promise');
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(unhandled).toEqual([]);
});

test('what a provider throws is not shown, but its name, its code and whether it is transient', async () => {
  const thrown = (): Error =>
    Object.assign(new RangeError(SECRET, { cause: new Error(SECRET) }), { code: 'ECONNRESET', key: SECRET });
  const remote: RemoteMasterKey = { algorithm: 'aes256gcm', unwrap: () => Promise.reject(thrown()) };
  const finds: KeyProvider['find'][] = [() => Promise.reject(thrown()), () => Promise.resolve(remote)];
  for (const find of finds) {
    const provider = { name: 'vault', find } as KeyProvider;
    const error = await refusal('KeyUnavailable', async () => {
      const file = await safeOpen(FILE, { keys: provider, trust: keys });
      await file.getTensors();
    });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(SECRET);
    expect(error.cause).toMatchObject({ name: 'RangeError', code: 'ECONNRESET' });
    expect(error.retryable).toBe(true);
  }
});

test('lists that contain themselves, or are too deep, are refused', async () => {
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  let deep: unknown = keys;
  for (let i = 0; i < 20_000; i++) deep = [deep];
  for (const list of [cyclic, deep] as KeysInput[]) {
    await refusal('InvalidOption', () => loadKeys(list));
    await refusal('InvalidOption', () => safeOpen(FILE, { keys, trust: list }));
  }
});

test('an evaluate that never settles is left when the signal is aborted', async () => {
  const controller = new AbortController();
  const evaluate = (): Promise<boolean> => new Promise(() => setTimeout(() => controller.abort(), 10));
  const opening = safeOpen(FILE, { keys, signal: controller.signal, policy: { evaluate } });
  await expect(opening).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }) as Error);
});
