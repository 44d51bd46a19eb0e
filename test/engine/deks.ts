import { createDecipheriv } from 'node:crypto';
import { SealMode } from '#dist/engine/types.js';
import { AEAD_KEY_BYTES, IV_BYTES, TAG_BYTES, wrappedDekBytes } from '#dist/format/vocabulary.js';
import type { Engine, Secret, TensorTable } from '#dist/engine/types.js';
import type { AeadAlgorithm } from '#dist/format/vocabulary.js';
import { describe, expect, it } from 'vitest';
import { isUntold, isZero, pattern, readAll, sealTensors } from './sealed-file.js';
import type { SealedTensors } from './sealed-file.js';

const ALGORITHMS: readonly AeadAlgorithm[] = ['aes128gcm', 'aes256gcm', 'chacha20poly1305'];
const CIPHERS = { aes128gcm: 'aes-128-gcm', aes256gcm: 'aes-256-gcm', chacha20poly1305: 'chacha20-poly1305' } as const;
const MANY = 100_000;

/** A row as node:crypto unwraps it. */
export function openRow(algorithm: AeadAlgorithm, master: Uint8Array, row: Uint8Array): Buffer {
  const size = AEAD_KEY_BYTES[algorithm];
  const cipher = CIPHERS[algorithm] as 'aes-256-gcm';
  const opener = createDecipheriv(cipher, master, row.subarray(size, size + IV_BYTES), { authTagLength: TAG_BYTES });
  opener.setAuthTag(row.subarray(size + IV_BYTES));
  return Buffer.concat([opener.update(row.subarray(0, size)), opener.final()]);
}

export function rowsOf(algorithm: AeadAlgorithm, rows: Uint8Array): Uint8Array[] {
  const size = wrappedDekBytes(algorithm);
  return Array.from({ length: rows.length / size }, (_, i) => rows.subarray(i * size, (i + 1) * size));
}

/** A table that nothing has been unwrapped in. */
function freshTable(engine: Engine, { spec }: SealedTensors): TensorTable {
  const made = engine.createTable(spec);
  if ('fault' in made) throw new Error(made.fault.problem);
  return made.table;
}

function unwrapped(result: { deks: Secret } | { row: number }): Secret {
  if ('row' in result) throw new Error(`row ${result.row} does not unwrap`);
  return result.deks;
}

/** Wrapping, unwrapping and moving data keys, with one engine. */
export function describeDeks(engine: Engine): void {
  describe.each(ALGORITHMS)('%s', (algorithm) => {
    const keyBytes = AEAD_KEY_BYTES[algorithm];
    const rowBytes = wrappedDekBytes(algorithm);
    const master = engine.randomSecret(keyBytes);
    const deks = engine.randomSecret(5 * keyBytes);

    it('wraps what it and node:crypto unwrap', () => {
      const rows = engine.wrapDeks(algorithm, master, deks);
      expect(rows.byteLength).toBe(5 * rowBytes);
      const opened = rowsOf(algorithm, rows).map((row) => openRow(algorithm, engine.exportSecret(master), row));
      expect(Buffer.compare(Buffer.concat(opened), engine.exportSecret(deks))).toBe(0);
      expect(engine.secretsEqual(unwrapped(engine.unwrapDeks(algorithm, master, rows)), deks)).toBe(true);
    });

    it('draws an IV for each key of each call', () => {
      const same = engine.importSecret(new Uint8Array(20 * keyBytes));
      const rows = [1, 2, 3].flatMap(() => rowsOf(algorithm, engine.wrapDeks(algorithm, master, same)));
      const ivs = new Set(rows.map((row) => Buffer.from(row.subarray(keyBytes, keyBytes + IV_BYTES)).toString('hex')));
      expect(ivs.size).toBe(60);
    });

    it('names the first row that does not unwrap', () => {
      const rows = engine.wrapDeks(algorithm, master, deks);
      expect(engine.unwrapDeks(algorithm, engine.randomSecret(keyBytes), rows)).toEqual({ row: 0 });
      for (const [row, at] of [0, keyBytes - 1, keyBytes, keyBytes + IV_BYTES, rowBytes - 1].entries()) {
        const changed = rows.slice();
        changed[row * rowBytes + at]! ^= 1;
        changed[4 * rowBytes]! ^= 1;
        expect(engine.unwrapDeks(algorithm, master, changed)).toEqual({ row });
      }
    });

    it('does not mind where the rows are, or that there are none', () => {
      const rows = engine.wrapDeks(algorithm, master, deks);
      const shared = new Uint8Array(new SharedArrayBuffer(rows.byteLength + 3), 3);
      shared.set(rows);
      expect(engine.secretsEqual(unwrapped(engine.unwrapDeks(algorithm, master, shared)), deks)).toBe(true);
      const nothing = engine.importSecret(new Uint8Array(0));
      expect(engine.wrapDeks(algorithm, master, nothing).byteLength).toBe(0);
      expect(unwrapped(engine.unwrapDeks(algorithm, master, new Uint8Array(0))).byteLength).toBe(0);
    });

    it('takes exact lengths only', () => {
      const rows = engine.wrapDeks(algorithm, master, deks);
      const short = engine.randomSecret(keyBytes - 1);
      expect(() => engine.wrapDeks(algorithm, short, deks)).toThrow(RangeError);
      expect(() => engine.wrapDeks(algorithm, master, short)).toThrow(RangeError);
      expect(() => engine.unwrapDeks(algorithm, short, rows)).toThrow(RangeError);
      expect(() => engine.unwrapDeks(algorithm, master, rows.subarray(1))).toThrow(RangeError);
      expect(() => engine.unwrapDeks(algorithm, short, new Uint8Array(0))).toThrow(RangeError);
    });

    it('moves the data keys of a table', async () => {
      const sealed = sealTensors(engine, [pattern(5000), new Uint8Array(0), pattern(1, 2)], {
        mode: SealMode.encrypt,
        algorithm,
        chunkSize: 1000,
      });
      const table = freshTable(engine, sealed);
      const rows = table.wrappedDeks();
      expect(rows.byteLength).toBe(3 * rowBytes);
      rows.fill(0);
      expect(isZero(table.wrappedDeks())).toBe(false);
      const taken = unwrapped(engine.unwrapDeks(algorithm, sealed.master, table.wrappedDeks()));
      expect(engine.secretsEqual(taken, sealed.table.exportDeks())).toBe(true);

      // Under another master key, as a rewrap does it.
      const again = unwrapped(engine.unwrapDeks(algorithm, master, engine.wrapDeks(algorithm, master, taken)));
      table.installDeks(again);
      again.dispose();
      const destination = new Uint8Array(5001).fill(0xaa);
      await engine.read({ ...readAll(sealed, engine.openBytes(sealed.stored), destination), table });
      expect(Buffer.compare(destination, Buffer.concat([pattern(5000), pattern(1, 2)]))).toBe(0);
      expect(engine.secretsEqual(table.exportDeks(), taken)).toBe(true);
    });
  });

  it('a hundred thousand are wrapped and unwrapped', () => {
    const rowBytes = wrappedDekBytes('aes256gcm');
    const master = engine.randomSecret(32);
    const many = engine.randomSecret(MANY * 32);
    const rows = engine.wrapDeks('aes256gcm', master, many);
    expect(new Set(rowsOf('aes256gcm', rows).map((row) => Buffer.from(row).toString('latin1'))).size).toBe(MANY);
    const back = unwrapped(engine.unwrapDeks('aes256gcm', master, rows));
    expect(engine.secretsEqual(back, many)).toBe(true);
    rows[(MANY - 1) * rowBytes]! ^= 1;
    expect(engine.unwrapDeks('aes256gcm', master, rows)).toEqual({ row: MANY - 1 });
  });

  describe('a table', () => {
    const sealed = sealTensors(engine, [pattern(3000), pattern(10, 2)], { mode: SealMode.encrypt, chunkSize: 1000 });
    const deks = (): Secret => sealed.table.exportDeks();

    it('holds the rows of its records', () => {
      const { document, records } = sealed.spec.encryption!;
      const text = (at: number) => Buffer.from(document).toString('latin1', records[at], records[at + 1]);
      const expected = [0, 11].flatMap((row) => [1, 3, 5].map((at) => Buffer.from(text(row + at), 'base64')));
      expect(Buffer.compare(sealed.table.wrappedDeks(), Buffer.concat(expected))).toBe(0);
    });

    it('gives no data keys before it has them', () => {
      const table = freshTable(engine, sealed);
      expect(() => table.exportDeks()).toThrow('the data keys have not been unwrapped');
      expect(table.unwrap(engine.randomSecret(32))).toBe(0);
      expect(() => table.exportDeks()).toThrow('the data keys have not been unwrapped');
    });

    it('takes them once', () => {
      const twice = 'the data keys have been unwrapped already';
      for (const take of [
        (table: TensorTable) => table.installDeks(deks()),
        (table: TensorTable) => void table.unwrap(sealed.master),
      ]) {
        const table = freshTable(engine, sealed);
        take(table);
        expect(() => table.installDeks(deks())).toThrow(twice);
        expect(() => table.unwrap(sealed.master)).toThrow(twice);
        expect(engine.secretsEqual(table.exportDeks(), deks())).toBe(true);
      }
    });

    it('takes exactly as many as there are records, and nothing else', () => {
      const table = freshTable(engine, sealed);
      for (const length of [0, 32, 63, 65, 96]) {
        expect(() => table.installDeks(engine.importSecret(new Uint8Array(length)))).toThrow(RangeError);
      }
      for (const stranger of [null, {}, new Uint8Array(64), table]) {
        expect(() => table.installDeks(stranger as Secret)).toThrow(TypeError);
      }
      table.installDeks(deks());
    });

    it('with wrong ones reads nothing', async () => {
      const table = freshTable(engine, sealed);
      table.installDeks(engine.randomSecret(64));
      const destination = new Uint8Array(3010).fill(0xaa);
      const read = engine.read({ ...readAll(sealed, engine.openBytes(sealed.stored), destination), table });
      await expect(read).rejects.toMatchObject({ code: 'BadTag', tensor: 0, chunk: 0 });
      expect(isUntold(destination, 0xaa)).toBe(true);
    });

    it('has none where nothing is encrypted', () => {
      const { table } = sealTensors(engine, [pattern(10)], { mode: SealMode.digest, chunkSize: 4 });
      expect(table.wrappedDeks().byteLength).toBe(0);
      expect(table.exportDeks().byteLength).toBe(0);
      table.installDeks(engine.importSecret(new Uint8Array(0)));
      table.installDeks(engine.importSecret(new Uint8Array(0)));
      expect(() => table.installDeks(engine.randomSecret(32))).toThrow(RangeError);
    });
  });

  describe('what is gone or of another kind', () => {
    const master = engine.randomSecret(32);
    const gone = engine.randomSecret(32);
    gone.dispose();
    const closed = expect.objectContaining({ code: 'Closed' }) as unknown;

    it('is refused', () => {
      const rows = engine.wrapDeks('aes256gcm', master, engine.randomSecret(32));
      expect(() => engine.wrapDeks('aes256gcm', gone, master)).toThrow(closed);
      expect(() => engine.wrapDeks('aes256gcm', master, gone)).toThrow(closed);
      expect(() => engine.unwrapDeks('aes256gcm', gone, rows)).toThrow(closed);
      for (const algorithm of ['rot13', 'toString', undefined] as unknown as AeadAlgorithm[]) {
        expect(() => engine.wrapDeks(algorithm, master, master)).toThrow(/algorithm/);
        expect(() => engine.unwrapDeks(algorithm, master, rows)).toThrow(/algorithm/);
      }
      for (const stranger of [null, {}, new Uint8Array(32)] as unknown as Secret[]) {
        expect(() => engine.wrapDeks('aes256gcm', stranger, master)).toThrow(TypeError);
        expect(() => engine.wrapDeks('aes256gcm', master, stranger)).toThrow(TypeError);
        expect(() => engine.unwrapDeks('aes256gcm', stranger, rows)).toThrow(TypeError);
      }
      expect(() => engine.unwrapDeks('aes256gcm', master, [1] as unknown as Uint8Array)).toThrow();
    });

    it('is refused by a table too', () => {
      const { table } = sealTensors(engine, [pattern(10)], { mode: SealMode.encrypt });
      expect(() => table.installDeks(gone)).toThrow(closed);
      table.dispose();
      expect(() => table.wrappedDeks()).toThrow(closed);
      expect(() => table.installDeks(master)).toThrow(closed);
      expect(() => table.exportDeks()).toThrow(closed);
    });
  });
}
