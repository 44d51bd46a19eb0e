import { closeSync, fstatSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { loadFile, loadFileSync, safeOpen, safeOpenSync, saveFileSync, verifyFile } from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { KEYS, saveSmallModel, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();

/** A plain file of a header and, behind it, `dataBytes` zeros, which take no room on the disk. */
function writePlain(name: string, header: string, dataBytes: number): string {
  const path = join(folder, name);
  const text = Buffer.from(header);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text]));
  const file = openSync(path, 'r+');
  ftruncateSync(file, 8 + text.length + dataBytes);
  closeSync(file);
  return path;
}

function manyTensors(count: number): string {
  const members = Array.from(
    { length: count },
    (_, i) => `"${i}":{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
  );
  return `{${members.join(',')}}`;
}

describe('progress', () => {
  const calls: [number, number][] = [];
  const onProgress = (done: number, total: number) => calls.push([done, total]);
  const expectCount = (total: number): void => {
    expect(calls.at(-1)).toEqual([total, total]);
    for (const [i, [done, of]] of calls.entries()) {
      expect(of).toBe(total);
      expect(done).toBeGreaterThanOrEqual(calls[i - 1]?.[0] ?? 0);
    }
    calls.length = 0;
  };

  test('of a slice counts what was asked for, not the chunks around it', async () => {
    const path = join(folder, 'slice.safetensors');
    saveFileSync({ w: { shape: [1024, 1024], data: new Uint8Array(2 ** 20) } }, path, {
      keys: KEYS,
      chunkSize: 2 ** 20,
    });
    await using model = await safeOpen(path, { keys: KEYS });
    const slice = model.getSlice('w');
    await slice.read([0, 12], { onProgress });
    expectCount(12_288);
    await slice.read(null, [3, 5], { onProgress });
    expectCount(2048);
    slice.readSync(null, [3, 5], { onProgress });
    expectCount(2048);
  });

  test('is one count over all shards, and leaves the gaps between tensors out', async () => {
    const weightMap: Record<string, string> = {};
    for (const shard of ['a', 'b', 'c']) {
      // 3 and 5 bytes, each at a multiple of 64.
      const tensors = {
        [`${shard}1`]: { shape: [3], data: new Uint8Array(3) },
        [`${shard}2`]: { shape: [5], data: new Uint8Array(5) },
      };
      saveFileSync(tensors, join(folder, `${shard}.safetensors`));
      weightMap[`${shard}1`] = weightMap[`${shard}2`] = `${shard}.safetensors`;
    }
    const index = join(folder, 'shards.safetensors.index.json');
    writeShardIndex(index, weightMap);
    await loadFile(index, { onProgress });
    expectCount(24);
    loadFileSync(index, { onProgress });
    expectCount(24);
  });

  test('of a verification ends at the bytes that something covers', async () => {
    const path = saveSmallModel(folder, 'partly.safetensors', { tensors: 'encoder.*', integrity: false });
    await verifyFile(path, { keys: KEYS, onProgress });
    expectCount(4 * 128 + 4 * 16);
  });
});

describe('large files', () => {
  test('a column of fifty million rows is read without planning each of them', async () => {
    const rows = 50_000_000;
    const path = writePlain(
      'long',
      `{"w":{"dtype":"U8","shape":[${rows},4],"data_offsets":[0,${4 * rows}]}}`,
      4 * rows,
    );
    const file = openSync(path, 'r+');
    writeSync(file, Uint8Array.of(5, 6, 7, 8), 0, 4, fstatSync(file).size - 4);
    closeSync(file);
    await using model = await safeOpen(path);
    const before = process.memoryUsage();
    const column = await model.getSlice('w').read(null, [1, 2]);
    expect(column.shape).toEqual([rows, 1]);
    expect(column.bytes.at(-1)).toBe(6);
    const after = process.memoryUsage();
    expect(after.heapUsed + after.external - before.heapUsed - before.external).toBeLessThan(1.5 * rows);
  }, 120_000);

  test('a million tensors load', async () => {
    const count = 1_000_000;
    const tensors = await loadFile(writePlain('million', manyTensors(count), count));
    expect(tensors.size).toBe(count);
    expect(tensors.get('999999')?.shape).toEqual([1]);
  }, 300_000);

  test('an index of half a million names opens, and one of too many files is refused', async () => {
    const count = 100_000;
    const weightMap: Record<string, string> = {};
    for (let shard = 0; shard < 5; shard++) {
      const header = manyTensors(count).replace(/"(\d+)":\{"dtype/g, `"${shard}.$1":{"dtype`);
      writePlain(`s${shard}`, header, count);
      for (let i = 0; i < count; i++) weightMap[`${shard}.${i}`] = `s${shard}`;
    }
    const index = join(folder, 'names.safetensors.index.json');
    writeShardIndex(index, weightMap);
    await using model = await safeOpen(index);
    expect(model.size).toBe(5 * count);
    writeShardIndex(index, Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`t${i}`, `f${i}`])));
    const error = await refusal('InvalidIndex', () => safeOpen(index));
    expect(error.message).toContain('more than 10000 files');
  }, 300_000);

  test('metadata keys and dimensions are bounded', async () => {
    const keys = Array.from({ length: 1_000_001 }, (_, i) => `"${i}":""`).join(',');
    const many = writePlain('keys', `{"__metadata__":{${keys}}}`, 0);
    const tooMany = await refusal('InvalidHeaderDeserialization', () => safeOpen(many));
    expect(tooMany.message).toContain('more than 1000000 metadata keys');
    const deep = writePlain(
      'deep',
      `{"w":{"dtype":"U8","shape":[${'1,'.repeat(20_000_000)}1],"data_offsets":[0,1]}}`,
      1,
    );
    const before = process.memoryUsage().heapUsed;
    const tooDeep = await refusal('InvalidHeaderDeserialization', () => safeOpen(deep));
    expect(tooDeep.message).toContain('more than 1000000 dimensions');
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(100_000_000);
  }, 120_000);

  test('memory that cannot be had is told as such', async () => {
    const path = writePlain(
      'huge',
      `{"w":{"dtype":"U8","shape":[1048576,1048576],"data_offsets":[0,${2 ** 40}]}}`,
      2 ** 40,
    );
    await using model = await safeOpen(path);
    const error = await refusal('OutOfMemory', () => model.getSlice('w').read());
    expect(error.message).toContain(`${2 ** 40} bytes`);
  });
});

describe('the event loop', () => {
  const tensors = Object.fromEntries(
    Array.from({ length: 30_000 }, (_, i) => [
      `model.layers.${i}.weight`,
      { shape: [1], data: Uint8Array.of(i & 255) },
    ]),
  );
  const path = join(folder, 'many.safetensors');
  saveFileSync(tensors, path, { keys: KEYS });

  /** The longest time for which work held the event loop, in relation to how long the blocking form takes. */
  async function longestHold(blocking: () => void, work: () => Promise<unknown>): Promise<number> {
    let least = Infinity;
    for (let attempt = 0; attempt < 5; attempt++) {
      const started = performance.now();
      blocking();
      const taken = performance.now() - started;
      let longest = 0;
      let ended = false;
      const done = work().finally(() => (ended = true));
      for (let last = performance.now(); !(ended as boolean);) {
        await setImmediate();
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
      }
      await done;
      least = Math.min(least, longest / taken);
    }
    return least;
  }

  test('is given way to while many tensors are opened and handed out', async () => {
    const opening = await longestHold(
      () => safeOpenSync(path, { keys: KEYS })[Symbol.dispose](),
      async () => (await safeOpen(path, { keys: KEYS })).close(),
    );
    expect(opening).toBeLessThan(0.25);
    await using model = await safeOpen(path, { keys: KEYS });
    const handingOut = await longestHold(
      () => void model.getTensorsSync(),
      () => model.getTensors(),
    );
    expect(handingOut).toBeLessThan(0.3);
  }, 120_000);
});
