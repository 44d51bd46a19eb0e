import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getEngine } from '#dist/engine/load.js';
import { SealMode } from '#dist/engine/types.js';
import { describe, expect, it } from 'vitest';
import { bytesOfBox, randomBox } from '../support/boxes.js';
import { Random } from '../support/random.js';
import { copiesOf, faultOf, isUntold, isZero, kept, NO_CONTROL, pattern, readAll, sealTensors } from './sealed-file.js';
import type { Protection } from './sealed-file.js';

const CHUNK = 4096;
const POISON = 0xaa;
/** Around the chunk's bounds, and around the 2 MiB that one work item has. */
const LENGTHS = [
  0,
  1,
  15,
  16,
  17,
  CHUNK - 1,
  CHUNK,
  CHUNK + 1,
  3 * CHUNK,
  3 * CHUNK + 7,
  2 ** 21 - 1,
  2 ** 21,
  2 ** 21 + 1,
  4_500_000,
];

const ALGORITHMS = ['aes128gcm', 'aes256gcm', 'chacha20poly1305'] as const;
const PROTECTIONS: [string, Protection][] = [
  ...ALGORITHMS.flatMap((algorithm): [string, Protection][] => [
    [`${algorithm}, version 1`, { mode: SealMode.encrypt, algorithm, version: 1 }],
    ...[1000, CHUNK, 2 ** 20, 2 ** 21, 2 ** 22].map((chunkSize): [string, Protection] => [
      `${algorithm}, version 2 in chunks of ${chunkSize}`,
      { mode: SealMode.encrypt, algorithm, version: 2, chunkSize },
    ]),
  ]),
  ['sha256', { mode: SealMode.digest, digest: 'sha256', chunkSize: CHUNK }],
  ['blake3', { mode: SealMode.digest, digest: 'blake3', chunkSize: 2 ** 20 }],
  ['unprotected', { mode: SealMode.plain }],
];

/** Everything that is read and written, with the AEAD provider that this process was told to use. */
export function describeDataPlane(): void {
  const engine = getEngine();
  const tensors = LENGTHS.map((length, i) => pattern(length, i + 1));
  const plaintext = Buffer.concat(tensors);

  describe.each(PROTECTIONS)('%s', (_name, protection) => {
    const sealed = sealTensors(engine, tensors, protection);
    const source = engine.openBytes(sealed.stored);

    it('is stored as ciphertext if it is to be, and as it is otherwise', () => {
      const same = Buffer.compare(sealed.stored, plaintext) === 0;
      expect(same).toBe(protection.mode !== SealMode.encrypt);
    });

    it.each([1, 0])('reads back what was sealed, with threads: %i', async (threads) => {
      const destination = kept(new Uint8Array(plaintext.length).fill(POISON));
      await engine.read({ ...readAll(sealed, source, destination), threads });
      expect(Buffer.compare(destination, plaintext)).toBe(0);
    });

    it('reads the same blocking, into shared memory', () => {
      const destination = engine.allocate(plaintext.length, true);
      engine.readSync(readAll(sealed, source, destination));
      expect(Buffer.compare(destination, plaintext)).toBe(0);
    });

    it('reads tensors that are apart in the destination', async () => {
      const offsets: number[] = [];
      const end = LENGTHS.reduce((at, length) => (offsets.push(at), Math.ceil((at + length + 1) / 64) * 64), 0);
      const destination = kept(new Uint8Array(end).fill(POISON));
      await engine.read({
        ...readAll(sealed, source, destination),
        copies: copiesOf(...LENGTHS.map((length, i) => [i, 0, length, offsets[i]!] as const)),
      });
      for (const [i, tensor] of tensors.entries()) {
        const at = offsets[i]!;
        expect(Buffer.compare(destination.subarray(at, at + tensor.length), tensor)).toBe(0);
        // Not a byte more than was asked for.
        expect(destination[at + tensor.length]).toBe(POISON);
      }
    });

    it('copies any ranges of any tensors', async () => {
      const random = new Random(7);
      for (let round = 0; round < 30; round++) {
        const destination = kept(new Uint8Array(60_000).fill(POISON));
        const expected = destination.slice();
        const rows: [number, number, number, number][] = [];
        let at = 0;
        for (const [tensor, length] of LENGTHS.entries()) {
          let start = 0;
          while (random.integer(0, 2) > 0 && start <= length) {
            const count = Math.min(random.integer(0, 3 * CHUNK), length - start, destination.length - at);
            rows.push([tensor, start, count, at]);
            expected.set(tensors[tensor]!.subarray(start, start + count), at);
            at += count;
            // Ranges may touch, overlap, or leave chunks out.
            start += random.integer(0, 4 * CHUNK);
          }
        }
        await engine.read({ ...NO_CONTROL, table: sealed.table, source, destination, copies: copiesOf(...rows) });
        expect(Buffer.compare(destination, expected)).toBe(0);
      }
    });

    it('copies any box of any tensor', async () => {
      const random = new Random(11);
      for (let round = 0; round < 60; round++) {
        const tensor = random.integer(1, LENGTHS.length - 1);
        const box = randomBox(random, tensor, Math.min(LENGTHS[tensor]!, round % 2 === 0 ? 20_000 : Infinity));
        const expected = bytesOfBox(box, tensors[tensor]!);
        const destination = kept(new Uint8Array(expected.length + 1).fill(POISON));
        const calls: number[] = [];
        const onProgress = (done: number, total: number) => calls.push(done, total);
        await engine.read({ ...NO_CONTROL, onProgress, table: sealed.table, source, destination, copies: box });
        expect(Buffer.compare(destination.subarray(0, -1), expected)).toBe(0);
        expect(destination.at(-1)).toBe(POISON);
        expect(calls.slice(-2)).toEqual([expected.length, expected.length]);
        destination.fill(POISON);
        engine.readSync({ ...NO_CONTROL, table: sealed.table, source, destination, copies: box });
        expect(Buffer.compare(destination.subarray(0, -1), expected)).toBe(0);
      }
    });

    it('unseals each tensor to its place in a sink', async () => {
      const out = new Uint8Array(plaintext.length + 10).fill(POISON);
      const rows = Float64Array.from(sealed.begin.flatMap((begin, i) => [i, begin + 10]));
      await engine.unseal({
        ...NO_CONTROL,
        table: sealed.table,
        source,
        sink: engine.memorySink(kept(out)),
        tensors: rows,
      });
      expect(Buffer.compare(out.subarray(10), plaintext)).toBe(0);
      expect(out.subarray(0, 10).every((byte) => byte === POISON)).toBe(true);
    });
  });

  describe.each(PROTECTIONS.filter(([, { mode }]) => mode !== SealMode.plain))('damaged: %s', (_name, protection) => {
    const sealed = sealTensors(engine, tensors, protection);
    const chunkSize = protection.version === 1 ? Number.MAX_SAFE_INTEGER : protection.chunkSize!;

    it.each([9, 13])(
      'refuses tensor %i after one bit changed, wipes what was written and nothing else',
      async (tensor) => {
        const damaged = sealed.stored.slice();
        const at = LENGTHS[tensor]! - 3;
        damaged[sealed.begin[tensor]! + at]! ^= 0x10;
        const destination = kept(new Uint8Array(plaintext.length + 2).fill(POISON));
        const inner = destination.subarray(1, plaintext.length + 1);
        const fault = await faultOf(engine.read(readAll(sealed, engine.openBytes(kept(damaged)), inner)));
        expect(fault).toMatchObject({
          code: protection.mode === SealMode.digest ? 'BadDigest' : 'BadTag',
          tensor,
          chunk: Math.floor(at / chunkSize),
        });
        expect(isUntold(inner, POISON)).toBe(true);
        expect([destination[0], destination.at(-1)]).toEqual([POISON, POISON]);
      },
    );

    it('refuses a box that touches a chunk whose other bytes changed, and wipes what it fills', async () => {
      const damaged = sealed.stored.slice();
      damaged[sealed.begin[13]! + 3_000_000]! ^= 1;
      const destination = kept(new Uint8Array(3 * 45).fill(POISON));
      const box = { tensor: 13, start: 4, length: 2, counts: [45], strides: [100_000] };
      const request = { ...NO_CONTROL, table: sealed.table, source: engine.openBytes(kept(damaged)), destination };
      expect(Math.floor(3_000_000 / chunkSize)).toBe(Math.floor(3_000_004 / chunkSize));
      expect(await faultOf(engine.read({ ...request, copies: box }))).toMatchObject({ tensor: 13 });
      expect(isUntold(destination.subarray(0, 90), POISON)).toBe(true);
      expect(destination.subarray(90).every((byte) => byte === POISON)).toBe(true);
    });

    it('refuses a slice of a chunk whose other bytes changed', async () => {
      const damaged = sealed.stored.slice();
      damaged[sealed.begin[3]! + 15]! ^= 1;
      const destination = kept(new Uint8Array(8).fill(POISON));
      const request = { ...NO_CONTROL, table: sealed.table, source: engine.openBytes(kept(damaged)), destination };
      const fault = await faultOf(engine.read({ ...request, copies: copiesOf([3, 0, 4, 2]) }));
      expect(fault).toMatchObject({ tensor: 3, chunk: 0 });
      expect(isUntold(destination.subarray(2, 6), POISON)).toBe(true);
      expect([0, 1, 6, 7].map((at) => destination[at])).toEqual([POISON, POISON, POISON, POISON]);
    });

    it('reads the chunks that are whole, whatever happened to others', async () => {
      const damaged = sealed.stored.slice();
      damaged[sealed.begin[13]! + LENGTHS[13]! - 1]! ^= 1;
      const destination = kept(new Uint8Array(100));
      const request = { ...NO_CONTROL, table: sealed.table, source: engine.openBytes(kept(damaged)), destination };
      const first = engine.read({ ...request, copies: copiesOf([13, 10, 100, 0]) });
      if (protection.version === 1) {
        expect(await faultOf(first)).toMatchObject({ code: 'BadTag', tensor: 13, chunk: 0 });
      } else {
        await first;
        expect(Buffer.compare(destination, tensors[13]!.subarray(10, 110))).toBe(0);
      }
    });
  });

  it('says of a file error whether it is about what is read or what is written', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-test-'));
    try {
      const missing = join(folder, 'none', 'file');
      const read = { code: 'FileError', side: 'source', systemCode: 'ENOENT' };
      expect(await faultOf(engine.openFile(missing))).toMatchObject(read);
      expect(() => engine.openFileSync(missing)).toThrow(expect.objectContaining(read));
      expect(() => engine.createFile(missing, 0o600)).toThrow(expect.objectContaining({ ...read, side: 'sink' }));
      const sink = engine.createFile(join(folder, 'file'), 0o600);
      expect(() => sink.allocate(2 ** 52)).toThrow(expect.objectContaining({ code: 'FileError', side: 'sink' }));
      expect(await faultOf(sink.allocateAsync(2 ** 52))).toMatchObject({ code: 'FileError', side: 'sink' });
      sink.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('checks empty tensors', async () => {
    const sealed = sealTensors(engine, [new Uint8Array(0)], { mode: SealMode.encrypt, chunkSize: CHUNK });
    const { document, records } = sealed.spec.encryption!;
    const wrong = Buffer.from(document);
    const tag = Buffer.from(wrong.toString('latin1', records[9], records[10]), 'base64');
    tag[0]! ^= 1;
    wrong.write(tag.toString('base64'), records[9]!);
    const made = engine.createTable({ ...sealed.spec, encryption: { ...sealed.spec.encryption!, document: wrong } });
    if ('fault' in made) throw new Error(made.fault.problem);
    made.table.unwrap(sealed.master);
    const request = {
      ...NO_CONTROL,
      source: engine.openBytes(kept(new Uint8Array(0))),
      destination: kept(new Uint8Array(0)),
    };
    const copies = copiesOf([0, 0, 0, 0]);
    await engine.read({ ...request, table: sealed.table, copies });
    expect(await faultOf(engine.read({ ...request, table: made.table, copies }))).toMatchObject({
      code: 'BadTag',
      tensor: 0,
      chunk: 0,
    });
  });

  describe('what a failed read had not written', () => {
    const size = 12 * 2 ** 20;
    const row = 2 ** 16;
    const sealed = sealTensors(engine, [new Uint8Array(size).fill(7)], { mode: SealMode.encrypt, chunkSize: row });
    const everyRow = { tensor: 0, start: 0, length: row, counts: [size / row], strides: [row] };
    const halfRows = { tensor: 0, start: 100, length: row - 200, counts: [size / row], strides: [row] };

    it.each([
      ['copies', copiesOf([0, 0, size, 0])],
      ['parts', copiesOf([0, 10, size / 2, 0], [0, size / 2 + 10, size / 2 - 20, size / 2])],
      ['a box', everyRow],
      ['a box with gaps', halfRows],
    ] as const)('is not touched: %s', async (_, copies) => {
      const damaged = sealed.stored.slice();
      // The third work item of 2 MiB.
      damaged[5 * 2 ** 20]! ^= 1;
      for (const aborted of [false, true]) {
        const destination = kept(new Uint8Array(size).fill(POISON));
        const signal = aborted ? AbortSignal.abort() : undefined;
        const source = engine.openBytes(kept(damaged));
        const request = { ...NO_CONTROL, table: sealed.table, source, destination, copies, threads: 1, signal };
        const fault = await faultOf(engine.read(request));
        expect(fault).toMatchObject({ code: aborted ? 'AbortError' : 'BadTag' });
        // The work before it was done, and is wiped; what comes after its item keeps the poison.
        expect(isZero(destination.subarray(0, 2 ** 20))).toBe(!aborted);
        const rest = destination.subarray(aborted ? 0 : 7 * 2 ** 20);
        expect(Buffer.compare(rest, new Uint8Array(rest.byteLength).fill(POISON))).toBe(0);
        expect(destination.includes(7)).toBe(false);
      }
    });
  });

  it('gives the digests that node:crypto gives', () => {
    const packed = engine.sealSync({
      ...NO_CONTROL,
      sources: [engine.openBytes(tensors[9]!)],
      sink: engine.memorySink(kept(new Uint8Array(LENGTHS[9]!))),
      items: Float64Array.of(0, 0, LENGTHS[9]!, 0, SealMode.digest),
      encryption: null,
      integrity: { algorithm: 'sha256', chunkSize: CHUNK },
    });
    const chunks = [0, 1, 2, 3].map((i) => tensors[9]!.subarray(i * CHUNK, (i + 1) * CHUNK));
    const expected = Buffer.concat(chunks.map((chunk) => createHash('sha256').update(chunk).digest()));
    expect(Buffer.from(packed)).toEqual(expected);
  });
}
