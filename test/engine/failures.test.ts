import { readFileSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SealMode } from '#dist/engine/types.js';
import { describe, expect, it } from 'vitest';
import { descriptorsOf } from '../support/descriptors.js';
import { temporaryFolder } from '../support/temporary.js';
import {
  copiesOf,
  faultOf,
  isUntold,
  kept,
  NO_CONTROL,
  openTable,
  pattern,
  readAll,
  sealTensors,
} from './sealed-file.js';
import type { SealedTensors } from './sealed-file.js';
import { ENGINES } from './both-engines.js';

describe.each(ENGINES)('%s', (engineName, engine) => {
  const isNative = engineName === 'native';
  const folder = temporaryFolder();
  const POISON = 0xaa;

  let files = 0;
  function store(bytes: Uint8Array): string {
    const path = join(folder, `${files++}.bin`);
    writeFileSync(path, bytes);
    return path;
  }

  const tensors = [pattern(3_000_000, 1), pattern(6_000_000, 2), pattern(10, 3)];
  const encrypted = sealTensors(engine, tensors, { mode: SealMode.encrypt, chunkSize: 2 ** 20 });
  const digested = sealTensors(engine, tensors, { mode: SealMode.digest, chunkSize: 2 ** 20 });
  const plain = sealTensors(engine, tensors, { mode: SealMode.plain });

  function poisoned({ stored }: SealedTensors): Uint8Array {
    return new Uint8Array(stored.byteLength).fill(POISON);
  }

  describe.each([
    ['encrypted', encrypted],
    ['digested', digested],
    ['plain', plain],
  ])('a file that changes after it was opened: %s', (kind, sealed) => {
    it('is FileChanged when it was cut, and the destination is wiped', async () => {
      const path = store(sealed.stored);
      const source = await engine.openFile(path);
      truncateSync(path, sealed.stored.byteLength - 5);
      const destination = poisoned(sealed);
      expect(await faultOf(engine.read(readAll(sealed, source, destination)))).toMatchObject({ code: 'FileChanged' });
      expect(isUntold(destination, POISON)).toBe(true);
      destination.fill(POISON);
      expect(() => engine.readSync(readAll(sealed, source, destination))).toThrow(
        expect.objectContaining({ code: 'FileChanged' }),
      );
      expect(isUntold(destination, POISON)).toBe(true);
      source.close();
    });

    it('is FileChanged when bytes changed that no longer match', async () => {
      const path = store(sealed.stored);
      const source = await engine.openFile(path);
      const changed = readFileSync(path);
      changed[4_000_000]! ^= 1;
      writeFileSync(path, changed);
      utimesSync(path, 1, 1);
      const destination = poisoned(sealed);
      const fault = await faultOf(engine.read(readAll(sealed, source, destination)));
      expect(fault).toMatchObject({
        code: 'FileChanged',
        tensor: kind === 'plain' ? -1 : 1,
        chunk: kind === 'plain' ? -1 : 0,
      });
      expect(isUntold(destination, POISON)).toBe(true);
      source.close();
    });

    it('is of no concern where a tag or a digest vouches for the bytes', async () => {
      const path = store(sealed.stored);
      const source = await engine.openFile(path);
      utimesSync(path, 1, 1);
      const read = engine.read(readAll(sealed, source, poisoned(sealed)));
      if (kind === 'plain') expect(await faultOf(read)).toMatchObject({ code: 'FileChanged' });
      else await read;
      source.close();
    });
  });

  describe('an AbortSignal', () => {
    it('that was aborted before ends the job before anything is written', async () => {
      const destination = poisoned(encrypted);
      const request = {
        ...readAll(encrypted, engine.openBytes(encrypted.stored), destination),
        signal: AbortSignal.abort(),
      };
      expect(await faultOf(engine.read(request))).toMatchObject({
        name: 'EngineFault',
        code: 'AbortError',
        tensor: -1,
      });
      expect(isUntold(destination, POISON)).toBe(true);
      destination.fill(POISON);
      expect(() => engine.readSync(request)).toThrow(expect.objectContaining({ code: 'AbortError' }));
      expect(isUntold(destination, POISON)).toBe(true);
    });

    it('that is aborted meanwhile ends the job and wipes what it wrote', async () => {
      const abort = new AbortController();
      const large = sealTensors(engine, [new Uint8Array(64_000_000)], { mode: SealMode.encrypt });
      const destination = poisoned(large);
      const read = engine.read({
        ...readAll(large, engine.openBytes(large.stored), destination),
        threads: 1,
        signal: abort.signal,
      });
      abort.abort();
      expect(await faultOf(read)).toMatchObject({ code: 'AbortError' });
      expect(isUntold(destination, POISON)).toBe(true);
    });

    it('that is aborted afterwards changes nothing, and is not held on to', async () => {
      const abort = new AbortController();
      const destination = poisoned(encrypted);
      await engine.read({
        ...readAll(encrypted, engine.openBytes(encrypted.stored), destination),
        signal: abort.signal,
      });
      abort.abort();
      expect(Buffer.compare(destination, Buffer.concat(tensors))).toBe(0);
    });
  });

  describe('progress', () => {
    it('goes up to the total', async () => {
      const calls: [number, number][] = [];
      const request = readAll(encrypted, engine.openBytes(encrypted.stored), poisoned(encrypted));
      await engine.read({ ...request, onProgress: (...call) => calls.push(call) });
      expect(calls.at(-1)).toEqual([encrypted.stored.byteLength, encrypted.stored.byteLength]);
      expect(calls.map(([done]) => done)).toEqual(calls.map(([done]) => done).sort((a, b) => a - b));
    });

    it('ends the job with whatever its callback throws', async () => {
      const boom = new Error('boom');
      const request = readAll(encrypted, engine.openBytes(encrypted.stored), poisoned(encrypted));
      const throwing = () => {
        throw boom;
      };
      expect(await faultOf(engine.read({ ...request, onProgress: throwing }))).toBe(boom);
    });
  });

  describe('closing', () => {
    it('refuses jobs on what is closed', async () => {
      const source = engine.openBytes(encrypted.stored);
      const table = openTable(engine, encrypted.spec, encrypted.master);
      source.close();
      source.close();
      expect(await faultOf(engine.read({ ...readAll(encrypted, source, poisoned(encrypted)), table }))).toMatchObject({
        code: 'Closed',
      });
      table.dispose();
      table.dispose();
      const open = engine.openBytes(encrypted.stored);
      expect(() => engine.readSync({ ...readAll(encrypted, open, poisoned(encrypted)), table })).toThrow(
        expect.objectContaining({ code: 'Closed' }),
      );
      const sink = engine.memorySink(kept(new Uint8Array(10)));
      sink.close();
      expect(() => sink.write(0, new Uint8Array(1))).toThrow(expect.objectContaining({ code: 'Closed' }));
    });

    it('lets jobs that are under way end, then closes the descriptor', async () => {
      const path = store(encrypted.stored);
      const source = await engine.openFile(path);
      const table = openTable(engine, encrypted.spec, encrypted.master);
      expect(descriptorsOf(path)).toBe(process.platform === 'linux' ? 1 : 0);
      const destination = poisoned(encrypted);
      const read = engine.read({ ...readAll(encrypted, source, destination), table });
      source.close();
      table.dispose();
      await read;
      expect(Buffer.compare(destination, Buffer.concat(tensors))).toBe(0);
      await expect.poll(() => descriptorsOf(path)).toBe(0);
    });
  });

  describe('a table', () => {
    it('reads nothing that is encrypted before its keys are unwrapped', async () => {
      const made = engine.createTable(encrypted.spec);
      if ('fault' in made) throw new Error(made.fault.problem);
      const destination = poisoned(encrypted);
      const request = { ...readAll(encrypted, engine.openBytes(encrypted.stored), destination), table: made.table };
      expect(await faultOf(engine.read(request))).toMatchObject({ code: 'InvalidOption' });
      expect(isUntold(destination, POISON)).toBe(true);
      expect(made.table.unwrap(engine.randomSecret(32))).toBe(0);
      expect(await faultOf(engine.read(request))).toMatchObject({ code: 'InvalidOption' });
      expect(made.table.unwrap(encrypted.master)).toBe(-1);
      await engine.read(request);
      expect(Buffer.compare(destination, Buffer.concat(tensors))).toBe(0);
    });

    it('says which row does not unwrap', () => {
      const { document, records } = encrypted.spec.encryption!;
      const damaged = Buffer.from(document);
      // The first character of row 1's wrapped_key.
      const at = records[11 + 1]!;
      damaged[at] = damaged[at] === 0x41 ? 0x42 : 0x41;
      const made = engine.createTable({
        ...encrypted.spec,
        encryption: { ...encrypted.spec.encryption!, document: damaged },
      });
      if ('fault' in made) throw new Error(made.fault.problem);
      expect(made.table.unwrap(encrypted.master)).toBe(1);
    });

    // The portable engine leaves that to those who make the requests, and delivers nothing.
    it.runIf(isNative)('refuses copies that lie outside their tensor or destination, or out of order', () => {
      const request = readAll(encrypted, engine.openBytes(encrypted.stored), new Uint8Array(100));
      const read =
        (...rows: [number, number, number, number][]) =>
        () =>
          engine.readSync({ ...request, copies: copiesOf(...rows) });
      expect(read([3, 0, 1, 0])).toThrow(RangeError);
      expect(read([0, 3_000_000, 1, 0])).toThrow(RangeError);
      expect(read([0, 2_999_999, 2, 0])).toThrow(RangeError);
      expect(read([0, 0, 101, 0])).toThrow(RangeError);
      expect(read([0, 0, 1, 100])).toThrow(RangeError);
      expect(read([0, Number.MAX_SAFE_INTEGER, 1, 0])).toThrow(RangeError);
      expect(read([0, 0, Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER])).toThrow(RangeError);
      expect(read([0, 1, 1, 0], [0, 0, 1, 1])).toThrow(RangeError);
      expect(read([1, 0, 1, 0], [0, 0, 1, 1])).toThrow(RangeError);
      for (const bad of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
        expect(read([bad, 0, 1, 0])).toThrow(RangeError);
        expect(read([0, bad, 1, 0])).toThrow(RangeError);
        expect(read([0, 0, bad, 0])).toThrow(RangeError);
        expect(read([0, 0, 1, bad])).toThrow(RangeError);
      }
      expect(() => engine.readSync({ ...request, copies: new Float64Array(3) })).toThrow(RangeError);
    });
  });

  describe('sealing', () => {
    it('refuses a source that is too short, and one that changed', async () => {
      const path = store(tensors[0]!);
      const source = await engine.openFile(path);
      const request = {
        ...NO_CONTROL,
        sources: [source],
        sink: engine.memorySink(kept(new Uint8Array(4_000_000))),
        encryption: null,
        integrity: null,
      };
      expect(() => engine.sealSync({ ...request, items: Float64Array.of(0, 1, 3_000_000, 0, 0) })).toThrow(
        isNative ? RangeError : /has become shorter/,
      );
      utimesSync(path, 1, 1);
      expect(await faultOf(engine.seal({ ...request, items: Float64Array.of(0, 0, 3_000_000, 0, 0) }))).toMatchObject({
        code: 'FileChanged',
      });
      source.close();
    });

    it.runIf(isNative)('refuses what contradicts itself', () => {
      const request = {
        ...NO_CONTROL,
        sources: [engine.openBytes(tensors[0]!)],
        sink: engine.memorySink(kept(new Uint8Array(100))),
        encryption: null,
        integrity: null,
      };
      const seal =
        (...row: number[]) =>
        () =>
          engine.sealSync({ ...request, items: Float64Array.from(row) });
      expect(seal(1, 0, 10, 0, SealMode.plain)).toThrow(RangeError);
      expect(seal(0, 0, 10, 0, 3)).toThrow(RangeError);
      expect(seal(0, 0, 10, 91, SealMode.plain)).toThrow(RangeError);
      expect(seal(0, 0, 10, 0, SealMode.encrypt)).toThrow(/not said/);
      expect(seal(0, 0, 10, 0, SealMode.digest)).toThrow(/not said/);
      const master = engine.randomSecret(16);
      expect(() =>
        engine.sealSync({
          ...request,
          items: new Float64Array(0),
          encryption: { algorithm: 'aes256gcm', version: 1, chunkSize: 0, master },
        }),
      ).toThrow(/length/);
    });
  });
});
