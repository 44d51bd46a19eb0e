import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SafeFile, safeOpen, saveFileSync } from 'cryptotensors';
import type { SharedModel } from 'cryptotensors';
import { descriptorsOf } from '../support/descriptors.js';
import { refusal } from '../support/errors.js';
import { KEYS, bytesOf, saveSmallModel, smallTensors, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const path = saveSmallModel(folder, 'shared.safetensors', { tensors: 'encoder.*' });

interface Answer {
  keys: string[];
  encrypted: boolean;
  tensors: [string, Uint8Array][];
  slice: Float32Array;
  code?: string;
}

let worker: Worker;
beforeAll(() => {
  worker = new Worker(new URL('share-worker.mjs', import.meta.url));
});
afterAll(() => worker.terminate());

async function ask(token: SharedModel, names: string[]): Promise<Answer> {
  worker.postMessage({ token, names });
  return ((await once(worker, 'message')) as [Answer])[0];
}

function expectWhole(answer: Answer): void {
  const expected = smallTensors();
  expect(answer.code).toBeUndefined();
  expect(answer.keys).toEqual([...expected.keys()].sort());
  for (const [name, bytes] of answer.tensors) expect(bytes).toEqual(bytesOf(expected.get(name)!.data));
  expect(answer.slice).toEqual(Float32Array.from({ length: 16 }, (_, i) => (i + 32) / 3));
}

describe('share and attach', () => {
  test('a worker reads tensors and slices of a model that was opened elsewhere', async () => {
    await using model = await safeOpen(path, { keys: KEYS });
    const token = model.share();
    expect(model.share()).toBe(token);
    const answer = await ask(token, ['encoder.weight', 'mask', 'empty']);
    expectWhole(answer);
    expect(answer.encrypted).toBe(true);
  });

  test('the token holds no key', async () => {
    await using model = await safeOpen(path, { keys: KEYS });
    const text = JSON.stringify(model.share(), (_, value: unknown) =>
      typeof value === 'bigint'
        ? String(value)
        : ArrayBuffer.isView(value)
          ? Buffer.from(bytesOf(value)).toString('latin1')
          : value,
    );
    const { keys } = JSON.parse(readFileSync(KEYS, 'utf8')) as { keys: { k?: string; d?: string }[] };
    for (const secret of keys.flatMap(({ k, d }) => [k, d])) {
      if (secret === undefined) continue;
      expect(text).not.toContain(secret);
      expect(text).not.toContain(Buffer.from(secret, 'base64').toString('latin1'));
    }
  });

  test('what was attached outlives the owner; a token does not', async () => {
    const model = await safeOpen(path, { keys: KEYS });
    const token = model.share();
    const attached = SafeFile.attach(token);
    await model.close();
    expect((await attached.getTensor('mask')).data).toEqual(Uint8Array.of(1, 0, 1));
    expect((await ask(token, ['mask'])).code).toBe('Closed');
    await refusal('Closed', () => SafeFile.attach(token));
    expect(descriptorsOf(path)).toBe(1);
    await attached.close();
    expect(descriptorsOf(path)).toBe(0);
  });

  test('a sharded model', async () => {
    saveFileSync({ a: { shape: [1], data: Int8Array.of(7) } }, join(folder, 'a.safetensors'), { keys: KEYS });
    const index = join(folder, 'model.safetensors.index.json');
    const names = Object.fromEntries([...smallTensors().keys()].map((name) => [name, 'shared.safetensors']));
    writeShardIndex(index, { a: 'a.safetensors', ...names });
    await using model = await safeOpen(index, { keys: KEYS });
    using attached = SafeFile.attach(model.share());
    expect(attached.keys()).toEqual(model.keys());
    expect((await attached.getTensor('a')).data).toEqual(Int8Array.of(7));
  });

  test('bytes in shared memory can be shared, others cannot', async () => {
    const bytes = readFileSync(path);
    await using own = await safeOpen(bytes, { keys: KEYS });
    await refusal('InvalidOption', () => own.share());
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
    shared.set(bytes);
    await using model = await safeOpen(shared, { keys: KEYS });
    expectWhole(await ask(model.share(), ['position', 'scale']));
  });

  test('what decides is not in the token: no edit of it opens anything', async () => {
    const local = 'package model\nallow = true\nallow_tensor if input.tensor.name == "mask"';
    const guarded = saveSmallModel(folder, 'guarded.safetensors', { policy: { local } });
    await using model = await safeOpen(guarded, { keys: KEYS });
    const token = structuredClone(model.share()) as unknown as Record<string, unknown>;
    // As if it were the state of everything that there is, by every name that anything of a model has.
    const allowed = new Uint8Array(100).fill(1);
    const facts = { decisions: allowed, checks: Array(100).fill('none'), policy: null, encryption: null, guard: null };
    const edited = { ...token, ...facts, files: [{ ...facts, token: token.name, path: guarded }], shards: null };
    for (const one of [edited, Object.assign(token, facts)]) {
      using attached = SafeFile.attach(one as never);
      expect(attached.encrypted).toBe(true);
      expect(await attached.allowedKeys()).toEqual(['mask']);
      await refusal('PolicyDenied', () => attached.getTensor('encoder.weight'));
      expect(attached.info('encoder.weight').check).toBe('tag');
    }
    // A token names a model as a whole: the files of a sharded one lie under names of their own.
    await refusal('Closed', () => SafeFile.attach({ ...token, name: '0'.repeat(32) } as never));
  });

  test('shared memory of another length is not taken for the file', async () => {
    const bytes = readFileSync(path);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
    shared.set(bytes);
    await using model = await safeOpen(shared, { keys: KEYS });
    const token = model.share();
    for (const memories of [[], [null], [shared.subarray(1)], [new Uint8Array(bytes)]]) {
      expect(() => SafeFile.attach({ ...token, memories })).toThrow(/token\.memories must be/);
    }
  });

  test('refuses what is no token', () => {
    expect(() => SafeFile.attach({} as never)).toThrow(TypeError);
    expect(() => SafeFile.attach('token' as never)).toThrow(/token must be what SafeFile\.share\(\) returned/);
  });
});

describe('a token ends with its publisher', () => {
  /** Opens and shares in a worker of its own, which then ends in one way or another. */
  async function publish(
    ending: 'terminate' | 'throw' | 'exit' | 'let go',
  ): Promise<{ token: SharedModel; end: () => Promise<unknown> }> {
    const publisher = new Worker(new URL('share-publisher.mjs', import.meta.url), {
      workerData: { path, keys: String(KEYS) },
    });
    const [token] = (await once(publisher, 'message')) as [SharedModel];
    const end = async (): Promise<unknown> => {
      if (ending === 'terminate') return publisher.terminate();
      const ended = new Promise((resolve) => publisher.once(ending === 'let go' ? 'message' : 'exit', resolve));
      publisher.on('error', () => undefined);
      publisher.postMessage(ending);
      return ended;
    };
    return { token, end };
  }

  test.each(['terminate', 'throw', 'exit', 'let go'] as const)('%s', async (ending) => {
    const { token, end } = await publish(ending);
    const before = SafeFile.attach(token);
    expect(descriptorsOf(path)).toBe(1);
    await end();
    await refusal('Closed', () => SafeFile.attach(token));
    // What was attached stays, and its descriptor is the last.
    expect((await before.getTensor('mask')).data).toEqual(Uint8Array.of(1, 0, 1));
    await before.close();
    expect(descriptorsOf(path)).toBe(0);
  });
});
