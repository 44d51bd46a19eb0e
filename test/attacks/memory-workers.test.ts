/** Workers that end while native threads work on their memory, and memory that outlives the worker that it came from. */
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { engineInfo, safeOpen, saveFileSync } from 'cryptotensors';
import { describe, expect, test } from 'vitest';
import { KEYS } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const SIZE = 1_500_000;
const ROUNDS = 4;
const folder = temporaryFolder();
const path = join(folder, 'model.safetensors');
const weights = Uint8Array.from({ length: SIZE }, (_, i) => (i * 7 + (i >> 9)) & 0xff);
const tensors = {
  a: { dtype: 'U8' as const, shape: [SIZE], data: weights },
  b: { dtype: 'U8' as const, shape: [SIZE], data: weights },
};
saveFileSync(tensors, path, { keys: KEYS, chunkSize: 65_536 });
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function worker(work: string, data: object): Worker {
  return new Worker(new URL('memory-worker.mjs', import.meta.url), { workerData: { work, ...data } });
}

test.each([
  'safeOpen(bytes), getTensors',
  'load with transfer',
  'verifyFile(bytes)',
  'getTensors into',
  'getTensors into shared memory',
  'a slice',
  'save',
  'wipeTensors',
])('a worker is terminated during %s', async (work) => {
  const shared = new SharedArrayBuffer(4 * 2 ** 20);
  const bytes = readFileSync(path);
  for (let round = 0; round < ROUNDS; round++) {
    const working = worker(work, { path, keys: KEYS.href, shared, bytes: Uint8Array.from(bytes) });
    expect(await once(working, 'message')).toEqual(['begins']);
    await setTimeout(round * 10);
    expect(await working.terminate()).toBe(1);
    collect();
  }
  // Threads that others still need were not taken along.
  await using model = await safeOpen(path, { keys: KEYS });
  expect(Buffer.compare((await model.getTensor('a')).bytes, weights)).toBe(0);
});

describe.runIf(engineInfo().engine === 'native')('a mapped file', () => {
  const plain = join(folder, 'plain.safetensors');
  saveFileSync(tensors, plain);

  test('outlives the worker that mapped it', async () => {
    const mapping = worker('map', { path: plain, keys: KEYS.href });
    const [[buffer]] = (await Promise.all([once(mapping, 'message'), once(mapping, 'exit')])) as [
      [ArrayBuffer],
      unknown,
    ];
    collect();
    await setTimeout(50);
    collect();
    expect(Buffer.compare(new Uint8Array(buffer).subarray(-SIZE), weights)).toBe(0);
  });

  test('outlives its model, its file and the view that it was transferred from', async () => {
    const copy = join(folder, 'removed.safetensors');
    writeFileSync(copy, readFileSync(plain));
    const moved = await (async () => {
      await using model = await safeOpen(copy);
      const { buffer } = (await model.getTensor('a', { map: true })).bytes;
      const { transfer } = buffer as { transfer?: () => ArrayBuffer };
      return transfer === undefined ? buffer : Reflect.apply(transfer, buffer, []);
    })();
    rmSync(copy);
    for (let turn = 0; turn < 3; turn++) {
      collect();
      await setTimeout(10);
    }
    expect(Buffer.compare(new Uint8Array(moved).subarray(-SIZE), weights)).toBe(0);
  });
});
