import { defaultMaxListeners, getEventListeners, getMaxListeners } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { linkSignals } from '#dist/read/signals.js';
import { AbortError, loadFile, safeOpen, saveFileSync } from 'cryptotensors';
import { KEYS, saveSmallModel } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const path = saveSmallModel(folder, 'model.safetensors');

describe('linkSignals', () => {
  test('aborts with the reason of whichever signal aborts first', () => {
    const [a, b] = [new AbortController(), new AbortController()];
    const { signal } = linkSignals([a.signal, undefined, b.signal]);
    expect(signal.aborted).toBe(false);
    b.abort('b');
    a.abort('a');
    expect(signal).toMatchObject({ aborted: true, reason: 'b' });
  });

  test('is aborted from the start if one of them is', () => {
    expect(linkSignals([new AbortController().signal, AbortSignal.abort('x')]).signal.reason).toBe('x');
  });

  test('leaves nothing on its sources', () => {
    const sources = [new AbortController().signal, new AbortController().signal];
    const { unlink } = linkSignals(sources);
    expect(sources.map((source) => getEventListeners(source, 'abort').length)).toEqual([1, 1]);
    unlink();
    expect(sources.map((source) => getEventListeners(source, 'abort').length)).toEqual([0, 0]);
  });
});

test('ten thousand concurrent small reads are all answered, and leave nothing on the signals', async () => {
  const { signal } = new AbortController();
  const warnings: Error[] = [];
  process.on('warning', (warning) => warnings.push(warning));
  await using model = await safeOpen(path, { keys: KEYS });
  const reads = Array.from({ length: 10_000 }, (_, i) =>
    i % 2 === 0 ? model.getTensor('mask', { signal }) : model.getSlice('encoder.weight').read(i % 8, { signal }),
  );
  const tensors = await Promise.all(reads);
  expect(tensors.filter(({ name }) => name === 'mask').every(({ data }) => data[0] === 1 && data[1] === 0)).toBe(true);
  expect(tensors.every(({ data }, i) => i % 2 === 0 || Math.abs(Number(data[0]) - ((i % 8) * 16) / 3) < 1e-5)).toBe(
    true,
  );
  expect(getEventListeners(signal, 'abort')).toEqual([]);
  // The caller's own, as the caller left it.
  expect(getMaxListeners(signal)).toBe(defaultMaxListeners);
  await setTimeout(1);
  expect(warnings).toEqual([]);
});

test('a model of twenty shards is read without a warning', async () => {
  const weightMap: Record<string, string> = {};
  for (let i = 0; i < 20; i++) {
    weightMap[`t${i}`] = `${i}.safetensors`;
    saveFileSync({ [`t${i}`]: { shape: [4], data: Uint8Array.of(i, 1, 2, 3) } }, join(folder, `${i}.safetensors`));
  }
  const index = join(folder, 'twenty.safetensors.index.json');
  writeFileSync(index, JSON.stringify({ weight_map: weightMap }));
  const warnings: Error[] = [];
  process.on('warning', (warning) => warnings.push(warning));
  const { signal } = new AbortController();
  const tensors = await loadFile(index, { signal });
  expect(tensors.size).toBe(20);
  await setTimeout(1);
  expect(warnings).toEqual([]);
});

test('the signal of an opening ends no read; that of a load ends all of it', async () => {
  const controller = new AbortController();
  await using model = await safeOpen(path, { keys: KEYS, signal: controller.signal });
  controller.abort();
  expect((await model.getTensor('mask')).data).toEqual(Uint8Array.of(1, 0, 1));
  await expect(loadFile(path, { keys: KEYS, signal: controller.signal })).rejects.toBeInstanceOf(AbortError);
});

test('closing in the middle of reads ends them with Closed, and waits for them', async () => {
  // Large enough that none can end before the next line of this test.
  const large = join(folder, 'large.safetensors');
  saveFileSync({ w: { shape: [2 ** 26], data: new Uint8Array(2 ** 26) } }, large, { keys: KEYS });
  const model = await safeOpen(large, { keys: KEYS });
  const reads = Array.from({ length: 8 }, () => model.getTensors());
  const outcomes = Promise.allSettled(reads);
  await model.close();
  const codes = (await outcomes).map((outcome) =>
    outcome.status === 'rejected' ? (outcome.reason as { code: string }).code : 'ok',
  );
  expect(codes.filter((code) => code !== 'ok' && code !== 'Closed')).toEqual([]);
  expect(codes).toContain('Closed');
});
