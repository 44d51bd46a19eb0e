import { COPY_STRIDE } from '#dist/format/vocabulary.js';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOfBox, randomBox } from '../support/boxes.js';
import { Random } from '../support/random.js';
import { PLAINLY, openTable, pattern, seal } from './sealed-file.js';
import type { PlainTensor, SealedFile } from './sealed-file.js';

const engine = createNodeEngine();
const UNTOUCHED = 0xaa;
const MODES = ['encrypt', 'digest', 'plain'] as const;

interface Copy {
  tensor: number;
  start: number;
  length: number;
}

/** Copies of a file's tensors, in the order that a request must have, one after the other in the destination. */
function rowsOf(copies: readonly Copy[]): { rows: Float64Array; byteLength: number } {
  const sorted = copies.toSorted((a, b) => a.tensor - b.tensor || a.start - b.start);
  let at = 0;
  const rows = Float64Array.from(
    sorted.flatMap(({ tensor, start, length }) => {
      at += length + 1;
      return [tensor, start, length, at - length - 1];
    }),
  );
  return { rows, byteLength: at };
}

function expected(tensors: readonly PlainTensor[], rows: Float64Array, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(byteLength).fill(UNTOUCHED);
  for (let at = 0; at < rows.length; at += COPY_STRIDE) {
    const [tensor, start, length, destination] = rows.subarray(at) as unknown as [number, number, number, number];
    bytes.set(tensors[tensor]!.bytes.subarray(start, start + length), destination);
  }
  return bytes;
}

const cases = fc
  .record({
    lengths: fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 5 }),
    chunkSize: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 320 })),
    digestChunk: fc.integer({ min: 1, max: 320 }),
    picks: fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { maxLength: 12 }),
  })
  .map(({ lengths, chunkSize, digestChunk, picks }) => {
    const tensors = lengths.map((length, i) => ({ bytes: pattern(length, i + 1), mode: MODES[i % MODES.length]! }));
    const file = seal(engine, tensors, {
      algorithm: 'aes128gcm',
      chunkSize,
      integrity: { algorithm: 'sha256', chunkSize: digestChunk },
    });
    const copies = picks.map(([a, b, c]) => {
      const tensor = a % lengths.length;
      const start = b % (lengths[tensor]! + 1);
      return { tensor, start, length: c % (lengths[tensor]! - start + 1) };
    });
    return { file, ...rowsOf(copies) };
  });

describe('copies', () => {
  it('of any parts, overlapping or not, are what slicing gives', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ file, rows, byteLength }) => {
        const request = {
          table: openTable(engine, file),
          source: engine.openBytes(file.stored),
          copies: rows,
          ...PLAINLY,
        };
        const wanted = expected(file.tensors, rows, byteLength);
        const destination = new Uint8Array(byteLength).fill(UNTOUCHED);
        engine.readSync({ ...request, destination });
        expect(destination).toEqual(wanted);
        destination.fill(UNTOUCHED);
        await engine.read({ ...request, destination });
        expect(destination).toEqual(wanted);
      }),
      { numRuns: 150 },
    );
  });

  it('of pieces of a chunk that is larger than a thread keeps in memory are what slicing gives', async () => {
    const size = 5 * 1024 * 1024 + 77;
    const tensors: PlainTensor[] = [{ bytes: pattern(size), mode: 'encrypt' }];
    const file = seal(engine, tensors, { algorithm: 'aes256gcm', chunkSize: 0 });
    const starts = [0, 1, 524_287, 524_288, 2_000_000, 2_000_000, 3_000_000, size - 1, size];
    const { rows, byteLength } = rowsOf(
      starts.map((start, i) => ({ tensor: 0, start, length: Math.min(size - start, [1, 2_500_000, 4][i % 3]!) })),
    );
    for (const shared of [false, true]) {
      const destination = engine.allocate(byteLength, shared).fill(UNTOUCHED);
      await engine.read({
        table: openTable(engine, file),
        source: engine.openBytes(file.stored),
        destination,
        copies: rows,
        ...PLAINLY,
      });
      expect(Buffer.compare(destination, expected(tensors, rows, byteLength))).toBe(0);
    }
  });

  it('of boxes are what slicing gives', async () => {
    const random = new Random(13);
    const tensors = MODES.map((mode, i) => ({ bytes: pattern(3_000_000 + i, i + 1), mode }));
    for (const chunkSize of [0, 100_000]) {
      const integrity = { algorithm: 'sha256', chunkSize: 50_000 } as const;
      const file = seal(engine, tensors, { algorithm: 'aes128gcm', chunkSize, integrity });
      const request = { table: openTable(engine, file), source: engine.openBytes(file.stored), ...PLAINLY };
      for (let round = 0; round < 60; round++) {
        const tensor = round % 3;
        const copies = randomBox(random, tensor, round % 2 === 0 ? 20_000 : 3_000_000);
        const wanted = bytesOfBox(copies, tensors[tensor]!.bytes);
        for (const shared of [false, true]) {
          const destination = engine.allocate(wanted.length, shared);
          await engine.read({ ...request, destination, copies });
          expect(Buffer.compare(destination, wanted)).toBe(0);
          destination.fill(UNTOUCHED);
          engine.readSync({ ...request, destination, copies });
          expect(Buffer.compare(destination, wanted)).toBe(0);
        }
      }
      const outside = { tensor: 0, start: 0, length: 2, counts: [2], strides: [3_000_000] };
      expect(() => engine.readSync({ ...request, destination: new Uint8Array(4), copies: outside })).toThrow(
        RangeError,
      );
    }
  });

  it('of very many small pieces are what slicing gives', async () => {
    const size = 1_500_000;
    const tensors: PlainTensor[] = [{ bytes: pattern(size), mode: 'encrypt' }];
    const file = seal(engine, tensors, { algorithm: 'aes256gcm', chunkSize: 1_000_000 });
    const pieces = Array.from({ length: 200_000 }, (_, i) => ({ tensor: 0, start: i * 7, length: 3 }));
    const { rows, byteLength } = rowsOf(pieces);
    for (const shared of [false, true]) {
      const destination = engine.allocate(byteLength, shared).fill(UNTOUCHED);
      const request = { table: openTable(engine, file), source: engine.openBytes(file.stored), destination };
      await engine.read({ ...request, copies: rows, ...PLAINLY });
      expect(Buffer.compare(destination, expected(tensors, rows, byteLength))).toBe(0);
    }
  });

  it('of nothing at all read nothing', async () => {
    const file = seal(engine, [{ bytes: pattern(10), mode: 'encrypt' }], { algorithm: 'aes256gcm', chunkSize: 4 });
    file.stored.fill(0);
    const request = {
      table: openTable(engine, file),
      source: engine.openBytes(file.stored),
      destination: new Uint8Array(3),
      ...PLAINLY,
    };
    await engine.read({ ...request, copies: new Float64Array(0) });
    engine.readSync({ ...request, copies: Float64Array.of(0, 7, 0, 3) });
    expect([...request.destination]).toEqual([0, 0, 0]);
  });

  describe('are refused', () => {
    const tensors = [10, 0, 20].map((length) => ({ bytes: pattern(length), mode: 'encrypt' as const }));
    const file: SealedFile = seal(engine, tensors, { algorithm: 'aes256gcm', chunkSize: 8 });

    it.each([
      ['of a tensor that is not there', [3, 0, 1, 0]],
      ['past the end of a tensor', [0, 5, 6, 0]],
      ['past the end of the last one', [2, 15, 6, 0]],
      ['before the beginning', [0, -1, 1, 0]],
      ['past the end of the destination', [0, 0, 10, 23]],
      ['out of order', [0, 8, 1, 0, 0, 0, 1, 1]],
    ])('%s, and nothing stays: %j', async (_, row) => {
      const destination = new Uint8Array(32).fill(UNTOUCHED);
      const copies = Float64Array.from(row);
      const request = {
        table: openTable(engine, file),
        source: engine.openBytes(file.stored),
        destination,
        copies,
        ...PLAINLY,
      };
      const refused = /^RangeError: |^EngineFault: .*the destination/;
      for (const read of [() => engine.readSync(request), () => engine.read(request)]) {
        expect(
          String(
            await Promise.resolve()
              .then(read)
              .catch((error: unknown) => error),
          ),
        ).toMatch(refused);
        expect(destination.every((byte) => byte === 0 || byte === UNTOUCHED)).toBe(true);
      }
    });
  });
});
