import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SealMode } from '#dist/engine/types.js';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';
import { faultOf, kept, NO_CONTROL, pattern, recordsOf, sealTensors } from './sealed-file.js';
import { ENGINES } from './both-engines.js';

describe.each(ENGINES)('%s', (_, engine) => {
  const folder = temporaryFolder();

  describe('opening', () => {
    it('knows size and path', async () => {
      const path = join(folder, 'päth ☃.bin');
      writeFileSync(path, 'hello');
      const source = await engine.openFile(path);
      expect(source).toMatchObject({ size: 5, path });
      expect(engine.openFileSync(path)).toMatchObject({ size: 5, path });
      expect(engine.openBytes(new Uint8Array(3))).toMatchObject({ size: 3, path: undefined });
    });

    it('says why a file cannot be opened', async () => {
      const missing = join(folder, 'missing');
      const fault = { name: 'EngineFault', code: 'FileError', systemCode: 'ENOENT', tensor: -1, chunk: -1 };
      expect(await faultOf(engine.openFile(missing))).toMatchObject(fault);
      expect(() => engine.openFileSync(missing)).toThrow(expect.objectContaining(fault));
      mkdirSync(join(folder, 'directory'));
      expect(() => engine.openFileSync(join(folder, 'directory'))).toThrow(
        expect.objectContaining({ systemCode: 'EISDIR' }),
      );
      expect(() => engine.openFileSync('a\0b')).toThrow(TypeError);
    });

    it.skipIf(process.platform === 'win32')('does not wait for a FIFO', () => {
      const fifo = join(folder, 'fifo');
      execFileSync('mkfifo', [fifo]);
      expect(() => engine.openFileSync(fifo)).toThrow(/regular file/);
    });
  });

  describe('raw reading', () => {
    const bytes = pattern(5_000_000);
    const path = join(folder, 'raw.bin');
    writeFileSync(path, bytes);

    it('fills all of the destination from the offset', async () => {
      for (const source of [engine.openFileSync(path), engine.openBytes(bytes)]) {
        const destination = kept(new Uint8Array(4_500_000));
        await engine.readRaw(source, 400_001, destination);
        expect(Buffer.compare(destination, bytes.subarray(400_001, 4_900_001))).toBe(0);
        destination.fill(0);
        engine.readRawSync(source, 0, destination);
        expect(Buffer.compare(destination, bytes.subarray(0, 4_500_000))).toBe(0);
        await engine.readRaw(source, 5_000_000, kept(new Uint8Array(0)));
      }
    });

    it('is FileChanged where the bytes end too early', async () => {
      for (const source of [engine.openFileSync(path), engine.openBytes(bytes)]) {
        expect(await faultOf(engine.readRaw(source, 4_999_999, kept(new Uint8Array(2))))).toMatchObject({
          code: 'FileChanged',
        });
        expect(() => engine.readRawSync(source, 2 ** 53 - 1, new Uint8Array(2))).toThrow();
      }
    });
  });

  describe('sinks', () => {
    it('create a file that was not there, with its mode', () => {
      const path = join(folder, 'created');
      const sink = engine.createFile(path, 0o600);
      sink.allocate(10);
      expect(statSync(path).size).toBe(10);
      sink.write(8, Uint8Array.of(1, 2));
      sink.write(0, Uint8Array.of(3));
      sink.sync();
      sink.close();
      sink.close();
      expect([...readFileSync(path)]).toEqual([3, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
      if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o600);
      expect(() => engine.createFile(path, 0o600)).toThrow(
        expect.objectContaining({ code: 'FileError', systemCode: 'EEXIST' }),
      );
    });

    it.skipIf(process.getuid?.() === 0 || process.platform === 'win32')('say why a file cannot be created', () => {
      const closed = join(folder, 'closed');
      mkdirSync(closed);
      chmodSync(closed, 0o500);
      expect(() => engine.createFile(join(closed, 'x'), 0o600)).toThrow(
        expect.objectContaining({ systemCode: 'EACCES' }),
      );
    });

    it('of memory hold what they hold and no more', () => {
      const bytes = new Uint8Array(4);
      const sink = engine.memorySink(bytes);
      sink.allocate(4);
      sink.write(2, Uint8Array.of(1, 2));
      expect([...bytes]).toEqual([0, 0, 1, 2]);
      expect(() => sink.allocate(5)).toThrow(expect.objectContaining({ code: 'InvalidOption' }));
      expect(() => sink.write(3, Uint8Array.of(1, 2))).toThrow(expect.objectContaining({ code: 'InvalidOption' }));
      expect(() => sink.write(5, Uint8Array.of())).toThrow(expect.objectContaining({ code: 'InvalidOption' }));
    });
  });

  describe('from file to file', () => {
    const tensors = [pattern(5_000_000, 1), new Uint8Array(0), pattern(100, 2), pattern(2 ** 21, 3)];
    const plaintext = Buffer.concat(tensors);
    const whole = join(folder, 'plaintext');
    writeFileSync(whole, plaintext);
    const { begin, lengths } = sealTensors(engine, tensors, { mode: SealMode.plain });
    const bounds = {
      dataStart: 100,
      begin: Float64Array.from(begin),
      end: Float64Array.from(begin, (at, i) => at + lengths[i]!),
    };

    it('seals and unseals, asynchronously and blocking', async () => {
      for (const blocking of [false, true]) {
        const sealed = join(folder, `sealed ${blocking}`);
        const opened = join(folder, `opened ${blocking}`);
        const master = engine.randomSecret(32);
        const sink = engine.createFile(sealed, 0o600);
        const request = {
          ...NO_CONTROL,
          sources: [engine.openFileSync(whole)],
          sink,
          items: Float64Array.from(
            lengths.flatMap((length, i) => [0, begin[i]!, length, 100 + begin[i]!, SealMode.encrypt]),
          ),
          encryption: { algorithm: 'aes256gcm' as const, version: 2 as const, chunkSize: 2 ** 20, master },
          integrity: null,
        };
        const packed = blocking ? engine.sealSync(request) : await engine.seal(request);
        sink.close();
        const fields = lengths.map((length) => [32, 12, 16, 12, 16 * Math.max(1, Math.ceil(length / 2 ** 20))]);
        const encryption = {
          algorithm: 'aes256gcm' as const,
          version: 2 as const,
          chunkSize: 2 ** 20,
          ...recordsOf(packed, fields),
        };
        const made = engine.createTable({ ...bounds, encryption, integrity: null });
        if ('fault' in made) throw new Error(made.fault.problem);
        expect(made.table.unwrap(master)).toBe(-1);
        const out = engine.createFile(opened, 0o600);
        const back = {
          ...NO_CONTROL,
          table: made.table,
          source: engine.openFileSync(sealed),
          sink: out,
          tensors: Float64Array.from(begin.flatMap((at, i) => [i, at + 7])),
        };
        if (blocking) engine.unsealSync(back);
        else await engine.unseal(back);
        out.close();
        expect(readFileSync(sealed).subarray(100)).not.toEqual(plaintext);
        expect(Buffer.compare(readFileSync(opened).subarray(7), plaintext)).toBe(0);
      }
    });

    it('writes no byte of a chunk that does not pass', async () => {
      const sealed = sealTensors(engine, tensors, { mode: SealMode.encrypt, chunkSize: 2 ** 20 });
      sealed.stored[2 ** 20]! ^= 1;
      const path = join(folder, 'refused');
      const sink = engine.createFile(path, 0o600);
      const fault = await faultOf(
        engine.unseal({
          ...NO_CONTROL,
          threads: 1,
          table: sealed.table,
          source: engine.openBytes(sealed.stored),
          sink,
          tensors: Float64Array.of(0, 0),
        }),
      );
      expect(fault).toMatchObject({ code: 'BadTag', tensor: 0, chunk: 1 });
      expect(statSync(path).size).toBeLessThanOrEqual(2 ** 20);
    });
  });
});
