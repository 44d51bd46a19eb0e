import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import { SealMode } from '#dist/engine/types.js';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';
import {
  ALGORITHMS,
  PLAINLY,
  itemsOf,
  openTable,
  pattern,
  seal,
  sealOptions,
  specOf,
  unpack,
  wholeCopies,
} from './sealed-file.js';
import type { Mode, PlainTensor, Protection } from './sealed-file.js';

const engine = createNodeEngine();
const folder = temporaryFolder();
const MiB = 1024 * 1024;

/** Tensors around the boundaries of chunks of 64 bytes. */
function smallTensors(modes: readonly Mode[]): PlainTensor[] {
  return [0, 1, 63, 64, 65, 127, 128, 129, 640, 1000].map((length, i) => ({
    bytes: pattern(length, i + 1),
    mode: modes[i % modes.length]!,
  }));
}

/** Tensors around the 2 MiB that threads work on, and far above. */
function largeTensors(): PlainTensor[] {
  const lengths = [2 * MiB - 1, 2 * MiB, 2 * MiB + 1, 5 * MiB + 3, 1, 0, 7];
  return lengths.map((length, i) => ({ bytes: pattern(length, i + 1), mode: i % 2 === 0 ? 'encrypt' : 'digest' }));
}

const INTEGRITY = { algorithm: 'sha256', chunkSize: 100 } as const;

/** Reads everything, each tensor with a gap of 3 bytes before it. */
function spaced(tensors: readonly PlainTensor[]): { copies: Float64Array; byteLength: number } {
  const copies = wholeCopies(tensors).map((value, i) => (i % 4 === 3 ? value + 3 * (Math.floor(i / 4) + 1) : value));
  return { copies, byteLength: tensors.reduce((sum, { bytes }) => sum + bytes.length + 3, 3) };
}

const UNTOUCHED = 0xaa;

/** Every tensor is where its copy says, and nothing else was written to. */
function expectTensors(destination: Uint8Array, copies: Float64Array, tensors: readonly PlainTensor[]): void {
  const expected = new Uint8Array(destination.length).fill(UNTOUCHED);
  for (const [i, { bytes }] of tensors.entries()) expected.set(bytes, copies[i * 4 + 3]);
  expect(Buffer.compare(destination, expected)).toBe(0);
}

describe.each(ALGORITHMS)('%s', (algorithm) => {
  it.each([0, 1, 16, 63, 64, 65, 1000, 4096])(
    'seals and opens tensors around chunks of %i bytes (0: version 1)',
    (chunkSize) => {
      const tensors = smallTensors(['encrypt', 'digest', 'encrypt', 'plain']);
      const file = seal(engine, tensors, { algorithm, chunkSize, integrity: INTEGRITY });
      const { copies, byteLength } = spaced(tensors);
      const destination = new Uint8Array(byteLength).fill(UNTOUCHED);
      engine.readSync({
        table: openTable(engine, file),
        source: engine.openBytes(file.stored),
        destination,
        copies,
        ...PLAINLY,
      });
      expectTensors(destination, copies, tensors);
    },
  );

  it('really encrypts: no 16 bytes of a tensor are stored as they are', () => {
    const bytes = pattern(4096);
    const { stored } = seal(engine, [{ bytes, mode: 'encrypt' }], { algorithm, chunkSize: 256 });
    for (let at = 0; at < bytes.length; at += 16) {
      expect(Buffer.compare(stored.subarray(at, at + 16), bytes.subarray(at, at + 16))).not.toBe(0);
    }
  });
});

describe('large tensors, everywhere that bytes can be', () => {
  const sources = ['file', 'memory', 'shared memory'] as const;
  const targets = ['memory', 'shared memory'] as const;
  const protections: Protection[] = [
    { algorithm: 'aes256gcm', chunkSize: 0, integrity: { algorithm: 'sha256', chunkSize: 3 * MiB } },
    { algorithm: 'chacha20poly1305', chunkSize: 2 * MiB, integrity: { algorithm: 'sha256', chunkSize: MiB + 1 } },
  ];
  const tensors = largeTensors();
  const shared = (bytes: Uint8Array) => {
    const copy = new Uint8Array(new SharedArrayBuffer(bytes.length));
    copy.set(bytes);
    return copy;
  };

  describe.each(protections)('$algorithm in chunks of $chunkSize', (protection) => {
    const file = seal(engine, tensors, protection);
    const path = join(folder, `${protection.algorithm}.bin`);
    writeFileSync(path, Buffer.concat([Buffer.alloc(100), file.stored]));

    it.each(sources.flatMap((source) => targets.map((target) => [source, target] as const)))(
      'from a %s to %s',
      async (from, to) => {
        const stored = Buffer.concat([Buffer.alloc(100), file.stored]);
        const source =
          from === 'file' ? await engine.openFile(path) : engine.openBytes(from === 'memory' ? stored : shared(stored));
        const table = openTable(engine, file, 100);
        const { copies, byteLength } = spaced(tensors);
        const destination = engine.allocate(byteLength, to === 'shared memory').fill(UNTOUCHED);
        expect(destination.buffer).toBeInstanceOf(to === 'memory' ? ArrayBuffer : SharedArrayBuffer);
        const progress: [number, number][] = [];
        const onProgress = (done: number, total: number) => progress.push([done, total]);
        await engine.read({ table, source, destination, copies, ...PLAINLY, onProgress });
        expectTensors(destination, copies, tensors);
        const total = file.stored.length;
        expect(progress.at(-1)).toEqual([total, total]);
        expect(progress.every(([done, of], i) => of === total && done >= (progress[i - 1]?.[0] ?? 0))).toBe(true);
        destination.fill(UNTOUCHED);
        engine.readSync({ table, source, destination, copies, ...PLAINLY });
        expectTensors(destination, copies, tensors);
        source.close();
      },
    );

    it.each(['file', 'memory', 'shared memory'] as const)('sealed from a file to a %s, and back', async (to) => {
      const plaintext = Buffer.concat(tensors.map(({ bytes }) => bytes));
      const plainPath = join(folder, `plain-${to}-${protection.chunkSize}.bin`);
      writeFileSync(plainPath, plaintext);
      const sealedPath = join(folder, `sealed-${to}-${protection.chunkSize}.bin`);
      const memory = engine.allocate(plaintext.length, to === 'shared memory');
      const sink = to === 'file' ? engine.createFile(sealedPath, 0o600) : engine.memorySink(memory);
      sink.allocate(plaintext.length);
      const source = engine.openFileSync(plainPath);
      const packed = await engine.seal({
        sources: [source],
        sink,
        items: itemsOf(tensors),
        ...sealOptions(protection, engine.importSecret(file.master)),
        ...PLAINLY,
      });
      sink.sync();
      sink.close();
      source.close();
      const stored = to === 'file' ? readFileSync(sealedPath) : memory;
      const resealed = { ...file, stored, fields: unpack(packed, tensors, protection) };
      const openedPath = join(folder, `opened-${to}-${protection.chunkSize}.bin`);
      const opened = engine.createFile(openedPath, 0o600);
      const rows = Float64Array.from(tensors.flatMap((_, i) => [i, itemsOf(tensors)[i * 5 + 3]! + 5]));
      const sealedSource = engine.openBytes(stored);
      await engine.unseal({
        table: openTable(engine, resealed),
        source: sealedSource,
        sink: opened,
        tensors: rows,
        ...PLAINLY,
      });
      opened.close();
      expect(Buffer.compare(readFileSync(openedPath).subarray(5), plaintext)).toBe(0);
    });
  });
});

describe('one range of a source', () => {
  it.each(['plain', 'digest', 'encrypt'] as const)('may be sealed several times: %s', async (mode) => {
    const bytes = pattern(3000);
    const stored = new Uint8Array(9000);
    // The third begins in the middle of what the others read.
    const rows = [0, 0, 1000].flatMap((offset, i) => [0, offset, 2000, i * 3000, SealMode[mode]]);
    await engine.seal({
      sources: [engine.openBytes(bytes)],
      sink: engine.memorySink(stored),
      items: Float64Array.from(rows),
      ...sealOptions({ algorithm: 'aes128gcm', chunkSize: 256, integrity: INTEGRITY }, engine.randomSecret(16)),
      ...PLAINLY,
    });
    const pieces = [0, 3000, 6000].map((at) => stored.subarray(at, at + 2000));
    const expected = [0, 0, 1000].map((at) => bytes.subarray(at, at + 2000));
    const same = pieces.map((piece, i) => Buffer.compare(piece, expected[i]!) === 0);
    expect(same).toEqual(pieces.map(() => mode !== 'encrypt'));
  });
});

describe('what sealing draws', () => {
  it('is fresh for every tensor, and leaves the counter room for every chunk', () => {
    const seen = new Set<string>();
    for (let round = 0; round < 50; round++) {
      const { fields } = seal(
        engine,
        [
          { bytes: pattern(64), mode: 'encrypt' },
          { bytes: pattern(64), mode: 'encrypt' },
        ],
        { algorithm: 'aes128gcm', chunkSize: 1 },
      );
      for (const [wrapped, keyIv, , baseIv] of fields) {
        for (const text of [wrapped!, keyIv!, baseIv!]) seen.add(text);
        expect(Buffer.from(baseIv!, 'base64').readUInt32BE(8) + 64).toBeLessThanOrEqual(2 ** 32);
      }
    }
    expect(seen.size).toBe(50 * 2 * 3);
  });

  it('needs nothing that the file does not have: no encrypted tensor, no record', () => {
    const tensors: PlainTensor[] = [{ bytes: pattern(10), mode: 'plain' }];
    const file = seal(engine, tensors, { algorithm: 'aes128gcm', chunkSize: 16 });
    expect(file.fields).toEqual([[]]);
    expect(Buffer.compare(file.stored, tensors[0]!.bytes)).toBe(0);
    const made = engine.createTable({ ...specOf(file), encryption: null });
    const destination = new Uint8Array(4);
    if (!('table' in made)) expect.fail('no table');
    const copies = Float64Array.of(0, 3, 4, 0);
    engine.readSync({ table: made.table, source: engine.openBytes(file.stored), destination, copies, ...PLAINLY });
    expect(Buffer.compare(destination, tensors[0]!.bytes.subarray(3, 7))).toBe(0);
  });
});
