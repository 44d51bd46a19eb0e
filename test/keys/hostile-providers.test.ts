import { inspect } from 'node:util';
import { CryptoTensorsError, generateKeys, loadKeys, safeOpen, safeOpenSync, save, saveSync } from 'cryptotensors';
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

/** Each way in which a provider can fail, with what it throws. */
function* failing(thrown: () => unknown): Generator<[string, () => unknown]> {
  const now = (): never => {
    throw thrown() as Error;
  };
  const fail = (): Promise<never> => Promise.resolve().then(now);
  const remote: RemoteMasterKey = { algorithm: 'aes256gcm', unwrap: fail };
  const signer = { publicKey: Buffer.from(keys.keys[1]!.x!, 'base64'), sign: fail };
  const asking = (find: KeyProvider['find']): KeyProvider => ({ name: 'vault', find }) as KeyProvider;
  const { policy, evaluate } = { policy: { local: 'package model\nallow := true' }, evaluate: fail };
  yield ['find', () => safeOpen(FILE, { keys: asking(fail), trust: keys })];
  yield ['findSync', () => safeOpenSync(FILE, { keys: { name: 'vault', findSync: now }, trust: keys })];
  yield ['trust', () => safeOpen(FILE, { keys, trust: asking(fail) })];
  yield ['unwrap', () => safeOpen(FILE, { keys: asking(() => Promise.resolve(remote)), trust: keys })];
  yield ['sign', () => save(smallTensors(), { keys: [keys.keys[0]!, asking(() => Promise.resolve(signer))] })];
  yield [
    'evaluate',
    async () => safeOpen(await save(smallTensors(), { keys, policy }), { keys, policy: { evaluate } }),
  ];
}

async function causeOf(work: () => unknown): Promise<CryptoTensorsError> {
  try {
    await work();
  } catch (error) {
    expect(error).toBeInstanceOf(CryptoTensorsError);
    return error as CryptoTensorsError;
  }
  return expect.fail('nothing was thrown');
}

test('what a provider throws is a useful cause, in which no key is', async () => {
  const inner = Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:443'), { code: 'ECONNREFUSED' });
  const id = '3f0c9a52-77de-4a1b-9c0e-5b2d8e6f1a90';
  const denied = `not allowed to use arn:aws:kms:eu-west-1:111122223333:key/${id}`;
  const clear = (): Error =>
    Object.assign(new RangeError(denied, { cause: inner }), { code: 'ENOWAY', request: { headers: SECRET } });
  for (const [where, work] of failing(clear)) {
    const error = await causeOf(work);
    expect(inspect(error, { depth: 9, showHidden: true }), where).not.toContain(SECRET);
    expect(error.cause, where).toMatchObject({ name: 'RangeError', code: 'ENOWAY', message: denied });
    expect((error.cause as Error).cause, where).toMatchObject({ code: 'ECONNREFUSED', message: inner.message });
    expect((error.cause as Error).stack, where).toMatch(/^RangeError: not allowed .*\n {4}at /);
    if (where !== 'evaluate') expect(error.retryable, where).toBe(true);
  }
});

test('of what could hold a key nothing is in the cause, wherever it stands', async () => {
  const bytes = Buffer.from(SECRET, 'base64');
  const spellings = [SECRET, bytes.toString('hex'), inspect(bytes), bytes.join(','), `x\n    at ${SECRET} (x.js:1:1)`];
  for (const text of spellings) {
    const thrown = (): Error => {
      const error = new Error(`cannot use ${text}`, { cause: new Error(text, { cause: text }) });
      return Object.assign(error, { name: text, code: text, key: text, [text]: text, stack: `Error\n    at ${text}` });
    };
    for (const [where, work] of [...failing(thrown), ...failing(() => text), ...failing(() => ({ message: text }))]) {
      const error = await causeOf(work);
      const seen = inspect(error, { depth: 9, showHidden: true, getters: true }) + JSON.stringify(error);
      for (const needle of [SECRET, bytes.toString('hex'), inspect(bytes).slice(8, -1), bytes.join(',')]) {
        expect(seen, `${where}: ${text}`).not.toContain(needle);
      }
    }
  }
});

test('what cannot be read is thrown and told all the same', async () => {
  const trap = (): never => {
    throw new RangeError('trap');
  };
  const proxy = (target: object): object =>
    new Proxy(target, { get: trap, getPrototypeOf: trap, has: trap, ownKeys: trap, getOwnPropertyDescriptor: trap });
  const members = ['stack', 'name', 'message', 'code', 'cause', 'retryable'];
  const getters = (target: object): object =>
    Object.defineProperties(target, Object.fromEntries(members.map((name) => [name, { get: trap }])));
  const round = new Error('round');
  round.cause = round;
  const things = [
    proxy(new Error('x')),
    proxy({}),
    getters(new Error('x')),
    getters(Object.create(CryptoTensorsError.prototype) as object),
    round,
    null,
    undefined,
    7,
    Symbol('x'),
    () => undefined,
  ];
  for (const thing of things) {
    for (const [where, work] of failing(() => thing)) {
      const error = await causeOf(work);
      expect(error.code, where).toBe(where === 'evaluate' ? 'PolicyError' : 'KeyUnavailable');
      if (thing !== undefined) expect(error.cause, where).toBeInstanceOf(Error);
      expect(() => inspect(error, { depth: 20 }), where).not.toThrow();
    }
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
