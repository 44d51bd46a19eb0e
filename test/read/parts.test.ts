import { constants } from 'node:buffer';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { safeOpen, saveFile } from 'cryptotensors';
import type { SafeFile, Tensor } from 'cryptotensors';
import { getEngine } from '#dist/engine/load.js';
import { MAX_PART_BYTES, inParts } from '#dist/read/parts.js';
import { readTensors } from '#dist/read/read-tensors.js';
import type { TensorRef } from '#dist/model/tensor-index.js';
import { runAsync, runSync } from '#dist/twin.js';
import { expect, test } from 'vitest';
import { refusal } from '../support/errors.js';
import { KEYS, bytesOf } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const data = new Map(
  [1000, 0, 3000, 64, 2500, 7, 500].map((length, i) => [
    `t${i}`,
    { dtype: 'U8' as const, shape: [length], data: Uint8Array.from({ length }, (_, k) => k + i) },
  ]),
);
const path = join(folder, 'model');
await saveFile(data, path, { keys: KEYS, chunkSize: 256 });

const refsOf = (file: SafeFile): TensorRef[] =>
  file.models().flatMap((model) => model.header.names.map((_, index) => ({ model, index })));

/** Reads as in a runtime whose typed arrays span so many bytes. */
function readIn(file: SafeFile, limit: number, onProgress?: (done: number, total: number) => void): Promise<Tensor[]> {
  const context = { engine: getEngine(), threads: 0, signal: undefined, onProgress, audit: null };
  return runAsync(readTensors(refsOf(file), {}, context, limit));
}

test('what one typed array cannot span is read into several', async () => {
  await using file = await safeOpen(path, { keys: KEYS });
  const progress: number[] = [];
  const tensors = await readIn(file, 3200, (done) => progress.push(done));
  expect(new Map(tensors.map(({ name, bytes }) => [name, Uint8Array.from(bytes)]))).toEqual(
    new Map(file.offsetKeys().map((name) => [name, bytesOf(data.get(name)!.data)])),
  );
  expect(tensors.map(({ name }) => name)).toEqual(file.offsetKeys());
  const buffers = new Set(tensors.map(({ bytes }) => bytes.buffer));
  expect(buffers.size).toBe(3);
  expect(progress).toEqual([...progress].sort((a, b) => a - b));
  expect(progress.at(-1)).toBeGreaterThanOrEqual(7071);
  // By default all are in one.
  const together = [...(await file.getTensors()).values()];
  expect(new Set(together.map(({ bytes }) => bytes.buffer)).size).toBe(1);
});

test('no part is longer than the limit, whatever the order in which tensors are asked for', async () => {
  await using file = await safeOpen(path, { keys: KEYS });
  const refs = refsOf(file);
  for (const order of [refs, refs.toReversed()]) {
    const parts = runSync(inParts(order, 3200));
    expect(parts.flat()).toEqual(refs);
    for (const part of parts) {
      const bytes = part.reduce(
        (sum, { model, index }) => sum + model.header.end[index]! - model.header.begin[index]!,
        0,
      );
      expect(bytes).toBeLessThanOrEqual(3200);
    }
  }
  expect(MAX_PART_BYTES).toBeLessThan(constants.MAX_LENGTH);
});

test('a tensor that no typed array can span is refused, and says what to do', async () => {
  await using file = await safeOpen(path, { keys: KEYS });
  const error = await refusal('InvalidOption', () => readIn(file, 2999));
  expect(error.message).toMatch(/tensor "t2" has 3000 bytes, but .* use Node\.js 22 or later, or read it in slices/);
});

test('when a later part fails, the earlier ones are wiped', async () => {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1]! ^= 1;
  const tampered = join(folder, 'tampered');
  writeFileSync(tampered, bytes);
  await using file = await safeOpen(tampered, { keys: KEYS });
  const engine = getEngine();
  const made: Uint8Array[] = [];
  const watched = Object.create(engine, {
    allocate: { value: (length: number, shared: boolean) => keep(engine.allocate(length, shared)) },
    allocateUnsafe: { value: (length: number) => keep(engine.allocateUnsafe(length)) },
  }) as typeof engine;
  function keep(bytes: Uint8Array): Uint8Array {
    made.push(bytes);
    return bytes;
  }
  for (const name of ['read', 'wipe', 'wipeAllAsync'] as const) {
    Object.defineProperty(watched, name, { value: engine[name].bind(engine) });
  }
  const context = { engine: watched, threads: 0, signal: undefined, onProgress: undefined, audit: null };
  await refusal('BadTag', () => runAsync(readTensors(refsOf(file), {}, context, 3200)));
  expect(made.length).toBe(3);
  for (const memory of made) expect(memory.every((byte) => byte === 0)).toBe(true);
});
