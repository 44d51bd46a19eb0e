import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import { describe, expect, it, vi } from 'vitest';
import { descriptorsOf } from '../support/descriptors.js';
import { temporaryFolder } from '../support/temporary.js';
import { PLAINLY, faultOf, openTable, pattern, seal, wholeCopies } from './sealed-file.js';
import type { PlainTensor } from './sealed-file.js';

const engine = createNodeEngine();
const folder = temporaryFolder();
const MiB = 1024 * 1024;

const tensors: PlainTensor[] = Array.from({ length: 24 }, (_, i) => ({
  bytes: pattern(2 * MiB, i + 1),
  mode: 'encrypt',
}));
const file = seal(engine, tensors, { algorithm: 'aes256gcm', chunkSize: 256 * 1024 });
const path = join(folder, 'model.bin');
writeFileSync(path, file.stored);
const byteLength = file.stored.length;

function openModel() {
  return { table: openTable(engine, file), source: engine.openFileSync(path) };
}

/** Zero in all places, without looking at each through JavaScript. */
describe('the event loop', () => {
  it('turns while a job runs', async () => {
    const { table, source } = openModel();
    let turns = 0;
    let running = true;
    const count = async () => {
      while (running) {
        turns++;
        await setImmediate();
      }
    };
    const counting = count();
    await engine.read({
      table,
      source,
      destination: engine.allocate(byteLength, true),
      copies: wholeCopies(tensors),
      ...PLAINLY,
    });
    running = false;
    await counting;
    // A job on the event loop itself would have let it turn once.
    expect(turns).toBeGreaterThan(50);
    source.close();
  });
});

/** What no tensor begins with. */
const UNTOUCHED = 0xaa;

/** Waits until a job has written to its destination. */
async function begun(destination: Uint8Array): Promise<void> {
  while (destination[0] === UNTOUCHED) await setImmediate();
}

/** What had been written is zero, the first byte for certain; what had not been is as it was. */
function expectWiped(destination: Uint8Array): void {
  expect(destination[0]).toBe(0);
  expect(destination.every((byte) => byte === 0 || byte === UNTOUCHED)).toBe(true);
}

describe('an abort', () => {
  it.each([false, true])('leaves a wiped destination that nobody touches any more (shared: %s)', async (shared) => {
    const { table, source } = openModel();
    const destination = engine.allocate(byteLength, shared).fill(UNTOUCHED);
    const controller = new AbortController();
    const request = { table, source, destination, copies: wholeCopies(tensors), ...PLAINLY };
    const fault = faultOf(() => engine.read({ ...request, signal: controller.signal }));
    source.close();
    table.dispose();
    await begun(destination);
    controller.abort();
    expect(await fault).toMatchObject({ code: 'AbortError', tensor: -1 });
    expectWiped(destination);
    await setTimeout(50);
    expectWiped(destination);
    expect(descriptorsOf(path)).toBe(0);
  });

  it.each([false, true])('does not wait for the end of a long chunk (shared: %s)', async (shared) => {
    const size = 128 * MiB;
    const large: PlainTensor[] = [{ bytes: new Uint8Array(size).fill(7), mode: 'encrypt' }];
    const sealed = seal(engine, large, { algorithm: 'aes256gcm', chunkSize: 0 });
    const stored = engine.allocate(size, shared);
    stored.set(sealed.stored);
    const destination = engine.allocate(4 * MiB + 1, shared);
    // All of the chunk is to be verified, and little of it to be delivered or wiped.
    const copies = Float64Array.of(0, 0, 4 * MiB, 0, 0, size - 1, 1, 4 * MiB);
    const request = {
      table: openTable(engine, sealed),
      source: engine.openBytes(stored),
      destination,
      copies,
      ...PLAINLY,
    };
    const time = async (work: () => Promise<unknown>) => {
      const start = performance.now();
      await work();
      return performance.now() - start;
    };
    const whole = await time(() => engine.read(request));
    destination.fill(UNTOUCHED);
    const controller = new AbortController();
    const fault = faultOf(() => engine.read({ ...request, signal: controller.signal }));
    for (let turn = 0; turn < 20; turn++) await setImmediate();
    controller.abort();
    const cut = await time(() => fault);
    expect(await fault).toMatchObject({ code: 'AbortError', tensor: -1 });
    expect(cut).toBeLessThan(whole / 2);
    // Nothing of the chunk had passed yet.
    expect(destination.every((byte) => byte === UNTOUCHED)).toBe(true);
  });

  it('does not disturb the other jobs', async () => {
    const { table, source } = openModel();
    const controller = new AbortController();
    const read = (signal?: AbortSignal) => {
      const destination = engine.allocate(byteLength, true);
      return {
        destination,
        done: engine.read({
          table,
          source,
          destination,
          copies: wholeCopies(tensors),
          threads: 0,
          signal,
          onProgress: undefined,
        }),
      };
    };
    const aborted = read(controller.signal);
    const other = read();
    controller.abort();
    expect(await faultOf(() => aborted.done)).toMatchObject({ code: 'AbortError' });
    await other.done;
    expect(Buffer.compare(other.destination, Buffer.concat(tensors.map(({ bytes }) => bytes)))).toBe(0);
    source.close();
  });
});

describe('closing', () => {
  it('lets the jobs that are under way end, then gives back descriptor and keys', async () => {
    const { table, source } = openModel();
    const destination = engine.allocate(byteLength, true);
    const reading = engine.read({ table, source, destination, copies: wholeCopies(tensors), ...PLAINLY });
    source.close();
    table.dispose();
    expect(descriptorsOf(path)).toBe(process.platform === 'linux' ? 1 : 0);
    await reading;
    expect(descriptorsOf(path)).toBe(0);
    expect(Buffer.compare(destination, Buffer.concat(tensors.map(({ bytes }) => bytes)))).toBe(0);
  });
});

describe('many reads at a time', () => {
  it('are all answered: ten thousand', async () => {
    const small: PlainTensor[] = Array.from({ length: 100 }, (_, i) => ({
      bytes: pattern(1000, i + 1),
      mode: i % 2 === 0 ? 'encrypt' : 'plain',
    }));
    const sealed = seal(engine, small, { algorithm: 'chacha20poly1305', chunkSize: 300 });
    const smallPath = join(folder, 'small.bin');
    writeFileSync(smallPath, sealed.stored);
    const table = openTable(engine, sealed);
    const source = engine.openFileSync(smallPath);
    const memory = engine.allocate(10_000 * 10, false);
    await Promise.all(
      Array.from({ length: 10_000 }, (_, i) => {
        const destination = memory.subarray(i * 10, i * 10 + 10);
        return engine.read({
          table,
          source,
          destination,
          copies: Float64Array.of(i % 100, i % 990, 10, 0),
          ...PLAINLY,
        });
      }),
    );
    const wrong = Array.from({ length: 10_000 }, (_, i) => i).filter((i) => {
      const expected = small[i % 100]!.bytes.subarray(i % 990, (i % 990) + 10);
      return Buffer.compare(memory.subarray(i * 10, i * 10 + 10), expected) !== 0;
    });
    expect(wrong).toEqual([]);
    source.close();
  });

  it('do not wait for a large one that came before', async () => {
    const { table, source } = openModel();
    const order: string[] = [];
    const large = engine
      .read({ table, source, destination: engine.allocate(byteLength, true), copies: wholeCopies(tensors), ...PLAINLY })
      .then(() => order.push('large'));
    const destination = new Uint8Array(10);
    const small = engine
      .read({ table, source, destination, copies: Float64Array.of(23, 0, 10, 0), ...PLAINLY })
      .then(() => order.push('small'));
    await Promise.all([large, small]);
    expect(order).toEqual(['small', 'large']);
    source.close();
  });

  it('fail one by one', async () => {
    const small: PlainTensor[] = [{ bytes: pattern(64), mode: 'encrypt' }];
    const sealed = seal(engine, small, { algorithm: 'aes256gcm', chunkSize: 16 });
    sealed.stored[20]! ^= 1;
    const request = { table: openTable(engine, sealed), source: engine.openBytes(sealed.stored), ...PLAINLY };
    const outcomes = await Promise.allSettled(
      Array.from({ length: 200 }, (_, i) =>
        engine.read({ ...request, destination: new Uint8Array(16), copies: Float64Array.of(0, (i % 4) * 16, 16, 0) }),
      ),
    );
    expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual(
      Array.from({ length: 200 }, (_, i) => i % 4 !== 1),
    );
  });
});

describe('while a chunk is under way', () => {
  const size = 24 * MiB;
  const tensor: PlainTensor = { bytes: new Uint8Array(size).fill(7), mode: 'encrypt' };

  // Long, so that no part of it is short enough to be verified by itself.
  it.each([
    ['blocking', 0],
    ['blocking', 12 * MiB],
    ['awaiting', 0],
    ['awaiting', 12 * MiB],
  ] as const)('nothing of it shows, %s, in chunks of %i', async (form, chunkSize) => {
    const sealed = seal(engine, [tensor], { algorithm: 'aes256gcm', chunkSize });
    sealed.stored[sealed.stored.length - 1]! ^= 1;
    const destination = engine.allocate(size, true);
    const seen = new Set<number>();
    // The last chunk, the first bytes of each part of it.
    const look = () => {
      for (let at = chunkSize; at < size; at += 1024) seen.add(destination[at]!);
    };
    const request = {
      ...PLAINLY,
      table: openTable(engine, sealed),
      source: engine.openBytes(sealed.stored),
      destination,
      copies: wholeCopies([tensor]),
      onProgress: look,
    };
    // Progress is told at every opportunity.
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
    const ended = new AbortController();
    const watching = (async () => {
      while (!ended.signal.aborted) {
        look();
        await setImmediate();
      }
    })();
    const read = form === 'awaiting' ? () => engine.read(request) : () => engine.readSync(request);
    expect(await faultOf(read)).toMatchObject({ code: 'BadTag' });
    ended.abort();
    await watching;
    vi.restoreAllMocks();
    look();
    expect([...seen]).toEqual([0]);
  });
});
