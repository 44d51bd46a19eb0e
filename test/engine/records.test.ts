import { SealMode } from '#dist/engine/types.js';
import type { RecordFault, TableSpec } from '#dist/engine/types.js';
import { describe, expect, it } from 'vitest';
import { copiesOf, kept, NO_CONTROL, recordsOf, sealTensors } from './sealed-file.js';
import { ENGINES } from './both-engines.js';

describe.each(ENGINES)('%s', (engineName, engine) => {
  const isNative = engineName === 'native';
  const CHUNK = 100;

  /** A table of three encrypted tensors of 250, 0 and 100 bytes, one field of one of which is replaced. */
  function withField(
    row: number,
    field: number,
    text: string | ((old: string) => string),
    version: 1 | 2 = 2,
  ): RecordFault | null {
    const tensors = [new Uint8Array(250), new Uint8Array(0), new Uint8Array(100)];
    const { spec } = sealTensors(engine, tensors, {
      mode: SealMode.encrypt,
      version,
      chunkSize: version === 1 ? 0 : CHUNK,
    });
    return createFault({
      ...spec,
      encryption: { ...spec.encryption!, ...replace(spec.encryption!, row, 11, field, text) },
    });
  }

  /** The same with digests. */
  function withDigests(row: number, text: string | ((old: string) => string)): RecordFault | null {
    const tensors = [new Uint8Array(250), new Uint8Array(0), new Uint8Array(100)];
    const { spec } = sealTensors(engine, tensors, { mode: SealMode.digest, chunkSize: CHUNK });
    return createFault({ ...spec, integrity: { ...spec.integrity!, ...replace(spec.integrity!, row, 3, 0, text) } });
  }

  function replace(
    { document, records }: { document: Uint8Array; records: Int32Array },
    row: number,
    stride: number,
    field: number,
    text: string | ((old: string) => string),
  ) {
    const at = row * stride + 1 + 2 * field;
    const old = Buffer.from(document).toString('latin1', records[at], records[at + 1]);
    const changed = records.slice();
    const replacement = typeof text === 'string' ? text : text(old);
    changed.set([document.length, document.length + Buffer.byteLength(replacement)], at);
    return { document: Buffer.concat([document, Buffer.from(replacement)]), records: changed };
  }

  function createFault(spec: TableSpec): RecordFault | null {
    const made = engine.createTable(spec);
    return 'fault' in made ? made.fault : null;
  }

  const base64 = (bytes: number, fill = 0): string => Buffer.alloc(bytes, fill).toString('base64');

  describe('records', () => {
    const fields = ['wrapped_key', 'key_iv', 'key_tag', 'iv', 'tag'];
    const sizes = [32, 12, 16, 12, 48];

    it.each([0, 1, 2, 3, 4])('field %i: refuses what is not strict base64', (field) => {
      const fault = { row: 0, field: fields[field], problem: 'base64' };
      const good = base64(sizes[field]!, 0xfb);
      for (const bad of [
        good.slice(0, -1),
        `${good}=`,
        `${good}\n`,
        ` ${good.slice(1)}`,
        good.replaceAll('+', '-'),
        `ä${good.slice(1)}`,
        `${good.slice(0, -3)}===`,
        '!!!!',
        'A',
      ]) {
        expect(withField(0, field, bad), bad).toMatchObject(fault);
      }
      // 32, 16 bytes end in padding, whose spare bits must be zero.
      if (sizes[field]! % 3 !== 0) {
        expect(withField(0, field, (old) => old.replace(/.(=+)$/, 'B$1'))).toMatchObject(fault);
      }
    });

    it.each([0, 1, 2, 3, 4])('field %i: refuses any other length, and says which', (field) => {
      for (const found of [0, 1, 11, 15, 31, 33, 47, 49, 64]) {
        if (found === sizes[field]) continue;
        const expected = { row: 0, field: fields[field], problem: 'length', found, expected: sizes[field] };
        expect(withField(0, field, base64(found))).toEqual(expected);
      }
    });

    it('reports the first row that is wrong', () => {
      expect(withField(2, 1, 'A')).toMatchObject({ row: 2, field: 'key_iv' });
      expect(withField(2, 4, base64(32))).toEqual({ row: 2, field: 'tag', problem: 'length', found: 32, expected: 16 });
    });

    it('refuse a counter that would overflow before the last chunk', () => {
      const iv = (counter: number) => {
        const bytes = Buffer.alloc(12, 7);
        bytes.writeUInt32BE(counter, 8);
        return bytes.toString('base64');
      };
      expect(withField(0, 3, iv(2 ** 32 - 3))).toBeNull();
      expect(withField(0, 3, iv(2 ** 32 - 2))).toMatchObject({ row: 0, field: 'iv', problem: 'counter-overflow' });
      expect(withField(0, 3, iv(2 ** 32 - 1))).toMatchObject({ row: 0, field: 'iv', problem: 'counter-overflow' });
      // A single chunk counts nothing.
      expect(withField(2, 3, iv(2 ** 32 - 1))).toBeNull();
      expect(withField(0, 3, iv(2 ** 32 - 1), 1)).toBeNull();
    });

    it('of an empty tensor of version 1 may lack both IV and tag, and then nothing is checked', () => {
      expect(withField(1, 3, '', 1)).toEqual({ row: 1, field: 'iv', problem: 'length', found: 0, expected: 12 });
      expect(withField(1, 4, '', 1)).toEqual({ row: 1, field: 'tag', problem: 'length', found: 0, expected: 16 });
      expect(withField(1, 4, '', 2)).toEqual({ row: 1, field: 'tag', problem: 'length', found: 0, expected: 16 });
      const { spec, master } = sealTensors(engine, [new Uint8Array(0)], { mode: SealMode.encrypt, version: 1 });
      const records = spec.encryption!.records.slice();
      records.set([0, 0, 0, 0], 7);
      const made = engine.createTable({ ...spec, encryption: { ...spec.encryption!, records } });
      if ('fault' in made) throw new Error(made.fault.problem);
      expect(made.table.unwrap(master)).toBe(-1);
      const source = engine.openBytes(new Uint8Array(0));
      engine.readSync({
        ...NO_CONTROL,
        table: made.table,
        source,
        destination: kept(new Uint8Array(0)),
        copies: copiesOf([0, 0, 0, 0]),
      });
    });

    it('of digests have 32 bytes per chunk; none or 32 for an empty tensor', () => {
      expect(withDigests(0, base64(64))).toEqual({
        row: 0,
        field: 'digests',
        problem: 'length',
        found: 64,
        expected: 96,
      });
      expect(withDigests(0, '')).toEqual({ row: 0, field: 'digests', problem: 'length', found: 0, expected: 96 });
      expect(withDigests(1, '')).toBeNull();
      expect(withDigests(1, base64(64))).toEqual({
        row: 1,
        field: 'digests',
        problem: 'length',
        found: 64,
        expected: 32,
      });
      expect(withDigests(2, 'A===')).toMatchObject({ row: 2, field: 'digests', problem: 'base64' });
    });
  });

  describe.runIf(isNative)('a spec that contradicts itself is a RangeError', () => {
    const { spec } = sealTensors(engine, [new Uint8Array(250), new Uint8Array(3)], {
      mode: SealMode.encrypt,
      chunkSize: CHUNK,
    });
    const encryption = spec.encryption!;
    const cases: [string, TableSpec][] = [
      ['ends before it begins', { ...spec, begin: Float64Array.of(0, 250), end: Float64Array.of(250, 249) }],
      ['more ends', { ...spec, begin: Float64Array.of(0) }],
      ['a fraction', { ...spec, begin: Float64Array.of(0, 0.5) }],
      ['negative', { ...spec, dataStart: -1 }],
      ['no chunk size', { ...spec, encryption: { ...encryption, chunkSize: 0 } }],
      ['a chunk size in version 1', { ...spec, encryption: { ...encryption, version: 1 } }],
      ['version 3', { ...spec, encryption: { ...encryption, version: 3 as 1 } }],
      ['part of a row', { ...spec, encryption: { ...encryption, records: encryption.records.subarray(1) } }],
      [
        'no such tensor',
        { ...spec, encryption: { ...encryption, records: encryption.records.map((x, i) => (i === 0 ? 2 : x)) } },
      ],
      [
        'a negative tensor',
        { ...spec, encryption: { ...encryption, records: encryption.records.map((x, i) => (i === 0 ? -1 : x)) } },
      ],
      [
        'a tensor twice',
        { ...spec, encryption: { ...encryption, records: encryption.records.map((x, i) => (i === 11 ? 0 : x)) } },
      ],
      [
        'text outside',
        { ...spec, encryption: { ...encryption, records: encryption.records.map((x, i) => (i === 2 ? 1e6 : x)) } },
      ],
      [
        'text backwards',
        { ...spec, encryption: { ...encryption, records: encryption.records.map((x, i) => (i === 1 ? 1e6 : x)) } },
      ],
      [
        'a negative text',
        { ...spec, encryption: { ...encryption, records: encryption.records.map((x, i) => (i === 1 ? -1 : x)) } },
      ],
    ];
    it.each(cases)('%s', (_name, bad) => {
      expect(() => engine.createTable(bad)).toThrow(RangeError);
    });

    it('and a wrong type a TypeError', () => {
      expect(() => engine.createTable({ ...spec, begin: [0] as unknown as Float64Array })).toThrow(TypeError);
      expect(() =>
        engine.createTable({ ...spec, encryption: { ...encryption, algorithm: 'rot13' as 'aes128gcm' } }),
      ).toThrow(TypeError);
      expect(() =>
        engine.createTable({
          ...spec,
          encryption: { ...encryption, records: recordsOf(new Uint8Array(1), [[1]]).document as unknown as Int32Array },
        }),
      ).toThrow(TypeError);
    });
  });
});
