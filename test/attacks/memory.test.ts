/**
 * Memory that JavaScript takes away: every entry point that takes or gives memory, every way of taking it away, before the call,
 * between opening and reading, and while threads work. Nothing may crash (`scripts/asan.mjs` runs this under AddressSanitizer, which
 * sees what does not crash), and what comes back is the right bytes or an error of this library's.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import {
  AbortError,
  CryptoTensorsError,
  Tensor,
  attachHeader,
  engineInfo,
  explainPolicy,
  inspectFile,
  inspectFileSync,
  load,
  loadKeysSync,
  loadSync,
  safeOpen,
  safeOpenSync,
  save,
  saveFile,
  saveSync,
  verifyFile,
  verifyFileSync,
  verifyLicense,
  wipeTensors,
  wipeTensorsSync,
} from 'cryptotensors';
import type { KeysInput, TensorLike } from 'cryptotensors';
import { describe, expect, test } from 'vitest';
import { ACME, BODY, VENDOR_PUBLIC, issue } from '../license/support.js';
import { headerOf } from '../support/detach.js';
import { KEYS } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { TAKINGS, WasmMemory } from './memory.js';
import type { Given } from './memory.js';

const SIZE = 400_000;
const folder = temporaryFolder();
const path = join(folder, 'model.safetensors');
const weights = Uint8Array.from({ length: SIZE }, (_, i) => (i * 7 + (i >> 9)) & 0xff);
const tensors = new Map<string, TensorLike>([
  ['a', { dtype: 'U8', shape: [SIZE], data: weights }],
  ['b', { dtype: 'U8', shape: [SIZE], data: weights }],
]);
const file = saveSync(tensors, { keys: KEYS, chunkSize: 65_536 });
const plain = saveSync(tensors);
writeFileSync(path, file);
const header = headerOf(file);
const body = join(folder, 'body.safetensors');
writeFileSync(body, BODY);
const license = await issue();
const keys: KeysInput = KEYS;

const right = (tensor: Tensor | undefined) => expect(Buffer.compare(tensor!.bytes, weights)).toBe(0);
const both = (read: Map<string, Tensor>) => [...read.values()].forEach(right);

/** Takes the memory away in the middle, where there is a middle. */
type Between = () => void;

interface Entry {
  name: string;
  /** What is in the memory that it is given. */
  bytes: Uint8Array;
  use: (memory: Uint8Array, between: Between) => unknown;
}

/** The one reference is dropped before anything is awaited, so that what the library does not hold can be collected. */
const ENTRIES: Entry[] = [
  {
    name: 'safeOpen, then getTensor',
    bytes: file,
    async use(memory, between) {
      await using model = await safeOpen(memory, { keys });
      between();
      right(await model.getTensor('a'));
      both(await model.getTensors());
      right(model.getTensorSync('b'));
    },
  },
  {
    name: 'safeOpen of a plain model, then getTensor',
    bytes: plain,
    async use(memory, between) {
      await using model = await safeOpen(memory);
      between();
      right(await model.getTensor('a'));
    },
  },
  {
    name: 'safeOpen with transfer',
    bytes: file,
    async use(memory, between) {
      await using model = await safeOpen(memory, { keys, transfer: true });
      between();
      right(await model.getTensor('a'));
    },
  },
  {
    name: 'safeOpenSync, then getTensor',
    bytes: file,
    async use(memory, between) {
      using model = safeOpenSync(memory, { keys });
      between();
      right(await model.getTensor('a'));
      right(model.getTensorSync('b'));
    },
  },
  { name: 'load', bytes: file, use: async (memory) => both(await load(memory, { keys })) },
  {
    name: 'load with transfer',
    bytes: file,
    use: async (memory) => both(await load(memory, { keys, transfer: true })),
  },
  {
    name: 'loadSync, taken away by onEvent',
    bytes: file,
    use: (memory, between) => both(loadSync(memory, { keys, onEvent: between })),
  },
  { name: 'verifyFile', bytes: file, use: (memory) => verifyFile(memory, { keys }) },
  {
    name: 'verifyFileSync, taken away by onProgress',
    bytes: file,
    use: (memory, between) => verifyFileSync(memory, { keys, onProgress: between }),
  },
  { name: 'inspectFile', bytes: file, use: (memory) => inspectFile(memory) },
  { name: 'inspectFileSync', bytes: file, use: (memory) => inspectFileSync(memory) },
  { name: 'explainPolicy', bytes: file, use: (memory) => explainPolicy(memory, { keys }) },
  {
    name: 'options.header',
    bytes: header,
    async use(memory, between) {
      await using model = await safeOpen(path, { keys, header: memory });
      between();
      right(await model.getTensor('a'));
    },
  },
  {
    name: 'attachHeader',
    bytes: header,
    use: (memory) => attachHeader(path, memory, join(folder, 'attached')),
  },
  {
    name: 'options.header of verifyFile',
    bytes: header,
    use: (memory) => verifyFile(path, { keys, header: memory }),
  },
  {
    name: 'options.license',
    bytes: license,
    async use(memory, between) {
      await using model = await safeOpen(body, { license: memory, keys: ACME, trust: VENDOR_PUBLIC });
      between();
      await model.getTensors();
    },
  },
  {
    name: 'verifyLicense',
    bytes: license,
    use: (memory) => verifyLicense(memory, { body, trust: VENDOR_PUBLIC }),
  },
  { name: 'loadKeysSync', bytes: readFileSync(KEYS), use: (memory) => loadKeysSync(memory).dispose() },
  {
    name: 'save',
    bytes: weights,
    use: async (memory) => right(loadSync(await save({ a: { shape: [SIZE], dtype: 'U8', data: memory } })).get('a')),
  },
  {
    name: 'save with transfer',
    bytes: weights,
    async use(memory) {
      const data = { a: { shape: [SIZE], dtype: 'U8' as const, data: memory } };
      right(loadSync(await save(data, { keys, transfer: true }), { keys }).get('a'));
    },
  },
  {
    name: 'saveSync, taken away by a predicate',
    bytes: weights,
    use(memory, between) {
      const data = { a: { shape: [SIZE], dtype: 'U8' as const, data: memory } };
      const saved = saveSync(data, { keys, tensors: () => (between(), true) });
      right(loadSync(saved, { keys }).get('a'));
    },
  },
  {
    name: 'saveFile',
    bytes: weights,
    async use(memory) {
      await saveFile({ a: { shape: [SIZE], dtype: 'U8', data: memory } }, join(folder, 'saved'), { keys });
    },
  },
  {
    name: 'getTensor into',
    bytes: new Uint8Array(SIZE),
    async use(memory) {
      await using model = await safeOpen(path, { keys });
      right(await model.getTensor('a', { into: memory }));
    },
  },
  {
    name: 'getTensors into, twice',
    bytes: new Uint8Array(2 * SIZE + 64),
    async use(memory, between) {
      await using model = await safeOpen(path, { keys });
      const read = model.getTensors({ into: memory });
      between();
      const into = (await read).get('a')!.bytes.buffer;
      both(await model.getTensors({ into }));
    },
  },
  {
    name: 'a slice into',
    bytes: new Uint8Array(SIZE),
    async use(memory) {
      await using model = await safeOpen(path, { keys });
      right(await model.getSlice('a').read(null, { into: memory }));
    },
  },
  {
    name: 'getTensorsSync into, taken away by onProgress',
    bytes: new Uint8Array(2 * SIZE + 64),
    use(memory, between) {
      using model = safeOpenSync(path, { keys });
      both(model.getTensorsSync({ into: memory, onProgress: between }));
    },
  },
  {
    name: 'getTensorSync into, taken away by the signal',
    bytes: new Uint8Array(SIZE),
    use(memory, between) {
      using model = safeOpenSync(path, { keys });
      const { signal } = new AbortController();
      Object.defineProperty(signal, 'aborted', { get: () => (between(), false) });
      right(model.getTensorSync('a', { into: memory, signal }));
    },
  },
  {
    name: 'safeOpen, taken away by a getter of the options',
    bytes: file,
    async use(memory, between) {
      const options = {
        get keys() {
          between();
          return keys;
        },
      };
      await using model = await safeOpen(memory, options);
      right(await model.getTensor('a'));
    },
  },
  {
    name: 'loadSync, taken away by a Proxy of the options',
    bytes: file,
    use: (memory, between) => both(loadSync(memory, meddling({ keys }, between))),
  },
  {
    name: 'getTensor into, taken away by a Proxy of the options',
    bytes: new Uint8Array(SIZE),
    async use(memory, between) {
      await using model = await safeOpen(path, { keys });
      right(await model.getTensor('a', meddling({ into: memory, threads: 1 }, between)));
    },
  },
  {
    name: 'getTensorSync into, taken away by a getter of the options',
    bytes: new Uint8Array(SIZE),
    use(memory, between) {
      using model = safeOpenSync(path, { keys });
      const options = {
        into: memory,
        get threads() {
          between();
          return 1;
        },
      };
      right(model.getTensorSync('a', options));
    },
  },
  {
    name: 'a slice into, taken away by what names the range',
    bytes: new Uint8Array(SIZE),
    use(memory, between) {
      using model = safeOpenSync(path, { keys });
      const range = meddling([0, SIZE] as [number, number], between);
      right(model.getSlice('a').readSync(range, { into: memory }));
    },
  },
  {
    name: 'saveSync, taken away by a getter of a tensor and by a Proxy of the options',
    bytes: weights,
    use(memory, between) {
      const tensor = {
        dtype: 'U8' as const,
        data: memory,
        get shape() {
          between();
          return [SIZE];
        },
      };
      right(loadSync(saveSync({ a: tensor }, meddling({ keys }, between)), { keys }).get('a'));
    },
  },
];

/** Does something whenever it is looked at. */
function meddling<Target extends object>(target: Target, meddle: () => void): Target {
  return new Proxy(target, {
    get(object, name) {
      meddle();
      return Reflect.get(object, name) as unknown;
    },
    getOwnPropertyDescriptor(object, name) {
      meddle();
      return Reflect.getOwnPropertyDescriptor(object, name);
    },
  });
}

function isOurs(error: unknown): boolean {
  return error instanceof CryptoTensorsError || error instanceof AbortError || error instanceof TypeError;
}

/** Runs it; right bytes, or an error of ours. Memory that stays must not even lead to an error. */
async function outcome(given: Given, work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isOurs(error)) throw error;
    expect(given.stays, String((error as Error).stack)).toBe(false);
    expect((error as Error).message).not.toMatch(/Cannot perform/);
  }
}

describe.each(TAKINGS)('$name', ({ make }) => {
  describe.each(ENTRIES)('$name', ({ bytes, use }) => {
    test('before', async () => {
      const given = make(bytes);
      const { memory } = given;
      if (!given.stays) given.take();
      await outcome(given, () => use(memory!, () => undefined));
    });

    test('between', async () => {
      const given = make(bytes);
      let taken = false;
      const takeOnce = () => {
        if (!taken) given.take();
        taken = true;
      };
      await outcome(given, () => use(given.memory!, takeOnce));
    });

    test('during', async () => {
      for (const turns of [0, 1, 3, 6]) {
        const given = make(bytes);
        await outcome(given, async () => {
          const working = Promise.resolve(use(given.memory!, () => undefined));
          // Until it is awaited nobody else looks at how it ended.
          working.catch(() => undefined);
          for (let i = 0; i < turns; i++) await setImmediate();
          given.take();
          await working;
        });
      }
    });
  });
});

describe('memory that is handed out', () => {
  const opened = () => safeOpenSync(path, { keys });

  test.each(['bytes', 'data', 'byteLength', 'toFloat32'] as const)(
    'a transferred buffer: %s names the tensor',
    (what) => {
      using model = opened();
      const read = model.getTensorsSync();
      structuredClone(read.get('a')!.bytes.buffer, { transfer: [read.get('a')!.bytes.buffer as ArrayBuffer] });
      const use = () => (what === 'toFloat32' ? read.get('b')!.toFloat32() : read.get('b')![what]);
      expect(use).toThrow(expect.objectContaining({ code: 'Detached', tensor: 'b' }));
      expect(use).toThrow(/share one buffer/);
      expect(() => wipeTensorsSync(read)).toThrow(expect.objectContaining({ code: 'Detached' }));
    },
  );

  test.each([true, false])('wipeTensors leaves nothing; shared: %s', async (shared) => {
    await using model = await safeOpen(path, { keys });
    const read = await model.getTensors({ shared });
    const views = [...read.values()].map((tensor) => tensor.bytes);
    const wiping = wipeTensors(read);
    if (!shared) expect(views.map(({ byteLength }) => byteLength)).toEqual([0, 0]);
    await wiping;
    for (const view of shared ? views : []) expect(view.every((byte) => byte === 0)).toBe(true);
    expect(() => read.get('a')!.bytes).toThrow(expect.objectContaining({ code: 'Closed' }));
    await wipeTensors(read);
  });

  test('one tensor of several, and a caller’s memory, are wiped where they are', async () => {
    using model = opened();
    const into = new Uint8Array(2 * SIZE + 64).fill(0xee);
    const read = model.getTensorsSync({ into });
    const view = read.get('a')!.bytes;
    await wipeTensors([read.get('a')!]);
    expect(view.every((byte) => byte === 0)).toBe(true);
    right(read.get('b'));
    read.get('b')!.wipe();
    expect(into.byteLength).toBe(2 * SIZE + 64);
    expect(into.subarray(0, SIZE).every((byte) => byte === 0)).toBe(true);
    await expect(wipeTensors([1] as never)).rejects.toThrow(/one of the tensors must be a Tensor/);
  });

  test('dispose() of the last tensor gives the memory back, of one of several does not', () => {
    using model = opened();
    const read = model.getTensorsSync();
    const view = read.get('b')!.bytes;
    read.get('a')!.dispose();
    right(read.get('b'));
    read.get('b')!.dispose();
    expect(view.byteLength).toBe(0);
  });

  test('none of it is cloned without its content', async () => {
    using model = opened();
    const ring = loadKeysSync(KEYS);
    for (const [value, advice] of [
      [model.getTensorSync('a'), /post its data/],
      [model.getTensorsSync(), /post its data/],
      [model, /share\(\)/],
      [model.getSlice('a'), /share\(\)/],
      [ring, /Load them in each thread/],
    ] as const) {
      const refused = expect.objectContaining({
        name: 'DataCloneError',
        message: expect.stringMatching(advice) as string,
      }) as Error;
      expect(() => structuredClone(value)).toThrow(refused);
      const { port1, port2 } = new MessageChannel();
      expect(() => port1.postMessage(value)).toThrow(refused);
      port1.close();
      port2.close();
    }
    ring.dispose();
    // The portable engine shares nothing.
    if (engineInfo().engine === 'native') expect(structuredClone(model.share())).toEqual(model.share());
    for (const data of [await inspectFile(path), await verifyFile(path, { keys }), model.info('a'), model.metadata()]) {
      expect(structuredClone(data)).toEqual(data);
    }
  });
});

describe('bytes', () => {
  test('an ArrayBuffer, a DataView, shared memory and a Blob are taken', async () => {
    const buffer = file.slice().buffer;
    const shared = new SharedArrayBuffer(file.byteLength);
    new Uint8Array(shared).set(file);
    for (const bytes of [buffer, new DataView(buffer), shared, new Blob([buffer])]) {
      both(await load(bytes, { keys }));
      await using model = await safeOpen(bytes, { keys });
      right(await model.getTensor('a'));
      expect((await verifyFile(bytes, { keys })).tensors).toBe(2);
      expect((await inspectFile(bytes)).tensors.length).toBe(2);
    }
    both(loadSync(buffer, { keys }));
    expect(() => loadSync(new Blob([buffer]) as never, { keys })).toThrow(/a Blob, which only awaiting can read/);
    expect(() => loadSync(new Float32Array(4) as never)).toThrow(TypeError);
  });

  test('what is handed over is moved, what cannot be moved is copied', async () => {
    const own = file.slice();
    both(await load(own, { keys, transfer: true }));
    expect(own.byteLength).toBe(0);
    const small = saveSync({ a: { shape: [1], data: Uint8Array.of(1) } });
    const pooled = Buffer.from(small);
    expect((await load(pooled, { transfer: true })).get('a')!.bytes).toEqual(Uint8Array.of(1));
    expect(pooled.byteLength).toBe(small.byteLength);
    await expect(
      (async () => {
        await using model = await safeOpen(path, { keys });
        await model.getTensor('a', { into: new Uint8Array(new WasmMemory({ initial: 10 }).buffer) });
      })(),
    ).rejects.toMatchObject({ code: 'InvalidOption' });
  });

  test('that were transferred away before get an error that names them', async () => {
    const gone = file.slice();
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    const refused = expect.objectContaining({ code: 'Detached' }) as Error;
    for (const work of [
      () => load(gone, { keys }),
      () => safeOpen(gone.buffer, { keys }),
      () => save({ a: { shape: [1], dtype: 'U8', data: gone } }),
      () => safeOpenSync(path, { keys }).getTensor('a', { into: gone }),
    ]) {
      await expect(work()).rejects.toEqual(refused);
    }
    expect(() => loadSync(gone, { keys })).toThrow(/input is memory that has been transferred away/);
  });
});
