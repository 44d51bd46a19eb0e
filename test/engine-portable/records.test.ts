import { createNodeEngine } from '#dist/engine/portable/node.js';
import type { RecordFault } from '#dist/engine/types.js';
import { describe, expect, it } from 'vitest';
import { pattern, seal, specOf } from './sealed-file.js';
import type { PlainTensor, SealedFile } from './sealed-file.js';

const engine = createNodeEngine();

const tensors: PlainTensor[] = [
  { bytes: pattern(40, 1), mode: 'encrypt' },
  { bytes: pattern(33, 2), mode: 'digest' },
  { bytes: pattern(0, 3), mode: 'encrypt' },
];
const VERSION_2 = { algorithm: 'aes256gcm', chunkSize: 16, integrity: { algorithm: 'sha256', chunkSize: 16 } } as const;
const VERSION_1 = { ...VERSION_2, chunkSize: 0 };

/** Columns of `SealedFile.fields`. */
const FIELDS = ['wrapped_key', 'key_iv', 'key_tag', 'iv', 'tag'] as const;

function faultOf(file: SealedFile): RecordFault | null {
  const made = engine.createTable(specOf(file));
  return 'fault' in made ? made.fault : null;
}

function zeros(length: number): string {
  return Buffer.alloc(length).toString('base64');
}

/** A base IV whose counter stands at `counter`. */
function baseIv(counter: number): string {
  const iv = Buffer.alloc(12, 7);
  iv.writeUInt32BE(counter, 8);
  return iv.toString('base64');
}

describe.each([
  ['version 1', VERSION_1, 16],
  ['version 2', VERSION_2, 48],
] as const)('records of %s', (_, protection, tagBytes) => {
  const good = () => seal(engine, tensors, protection);
  const lengths = [32, 12, 16, 12, tagBytes];

  it('pass', () => {
    expect(faultOf(good())).toBeNull();
  });

  describe.each(FIELDS.map((field, column) => ({ field, column })))('$field', ({ field, column }) => {
    const expected = lengths[column]!;

    it.each([-1, 1, -12, 16, 4])('must have its exact length, not %i bytes more', (difference) => {
      const file = good();
      const found = Math.max(0, expected + difference);
      file.fields[0]![column] = zeros(found);
      expect(faultOf(file)).toEqual({ row: 0, field, problem: 'length', found, expected });
    });

    it('must be strict base64', () => {
      const text = good().fields[0]![column]!;
      const bad = [
        text.slice(0, -1),
        `${text}=`,
        `${text}====`,
        ` ${text.slice(1)}`,
        `${text.slice(0, 3)}\n${text.slice(4)}`,
        `-${text.slice(1)}`,
        `_${text.slice(1)}`,
        `=${text.slice(1)}`,
        `\u00ff${text.slice(1)}`,
        `${text.slice(0, 4)}AA==${text.slice(8)}`,
        'A',
        'AA=',
        '====',
        // Bits beyond the last byte.
        'AAB=',
        'AB==',
      ];
      for (const changed of bad) {
        const file = good();
        file.fields[0]![column] = changed;
        expect(faultOf(file), JSON.stringify(changed)).toEqual({
          row: 0,
          field,
          problem: 'base64',
          found: 0,
          expected: 0,
        });
      }
    });
  });

  it('are reported in the order of rows, then fields', () => {
    const file = good();
    file.fields[1] = ['?'];
    expect(faultOf(file)).toMatchObject({ row: 0, field: 'digests' });
    file.fields[2]![0] = '?';
    expect(faultOf(file)).toMatchObject({ row: 1, field: 'wrapped_key' });
    file.fields[0]![4] = '?';
    expect(faultOf(file)).toMatchObject({ row: 0, field: 'tag' });
    file.fields[0]![1] = '?';
    expect(faultOf(file)).toMatchObject({ row: 0, field: 'key_iv' });
  });

  it('of an empty tensor need the tag of nothing, or in version 1 neither IV nor tag', () => {
    const file = good();
    file.fields[2]!.splice(3, 2, '', '');
    expect(faultOf(file)).toEqual(
      protection === VERSION_1 ? null : { row: 1, field: 'iv', problem: 'length', found: 0, expected: 12 },
    );
    file.fields[2]!.splice(3, 2, zeros(12), '');
    expect(faultOf(file)).toEqual({ row: 1, field: 'tag', problem: 'length', found: 0, expected: 16 });
    file.fields[2]!.splice(3, 2, '', zeros(16));
    expect(faultOf(file)).toEqual({ row: 1, field: 'iv', problem: 'length', found: 0, expected: 12 });
    file.fields[2]!.splice(3, 2, zeros(12), zeros(16));
    expect(faultOf(file)).toBeNull();
    file.fields[0]!.splice(3, 2, '', '');
    expect(faultOf(file)).toMatchObject({ row: 0, field: 'iv', problem: 'length' });
  });

  it('have digests of the exact length, or of an empty tensor none', () => {
    const file = good();
    file.fields[1] = [zeros(64)];
    expect(faultOf(file)).toEqual({ row: 0, field: 'digests', problem: 'length', found: 64, expected: 96 });
    file.fields[1] = [''];
    expect(faultOf(file)).toEqual({ row: 0, field: 'digests', problem: 'length', found: 0, expected: 96 });
  });
});

describe('the counter of a base IV', () => {
  it.each([
    [0xffffffff, 'counter-overflow'],
    [0xfffffffe, 'counter-overflow'],
    [0xfffffffd, null],
    [0, null],
  ] as const)('at %i has room for three chunks: %s', (counter, problem) => {
    const file = seal(engine, tensors, VERSION_2);
    file.fields[0]![3] = baseIv(counter);
    expect(faultOf(file)?.problem ?? null).toBe(problem);
  });

  it('is no counter in version 1', () => {
    const file = seal(engine, tensors, VERSION_1);
    file.fields[0]![3] = baseIv(0xffffffff);
    expect(faultOf(file)).toBeNull();
  });

  it('counts before the tags do', () => {
    const file = seal(engine, tensors, VERSION_2);
    file.fields[0]!.splice(3, 2, baseIv(0xffffffff), '?');
    expect(faultOf(file)).toMatchObject({ field: 'iv', problem: 'counter-overflow' });
  });
});

describe('unwrapping', () => {
  const file = seal(engine, tensors, VERSION_2);
  const table = (changed: SealedFile) => {
    const made = engine.createTable(specOf(changed));
    return 'table' in made ? made.table : expect.fail('no table');
  };

  it('names the first row whose DEK does not unwrap', () => {
    const other = seal(engine, tensors, VERSION_2);
    const mixed = { ...file, fields: [file.fields[0]!, file.fields[1]!, other.fields[2]!] };
    expect(table(mixed).unwrap(engine.importSecret(file.master))).toBe(1);
    expect(table(mixed).unwrap(engine.importSecret(other.master))).toBe(0);
    expect(table(file).unwrap(engine.importSecret(file.master))).toBe(-1);
  });

  it('refuses a master key of another length, or none', () => {
    expect(() => table(file).unwrap(engine.randomSecret(16))).toThrow(RangeError);
    const gone = engine.importSecret(file.master);
    gone.dispose();
    expect(() => table(file).unwrap(gone)).toThrow('disposed');
  });
});
