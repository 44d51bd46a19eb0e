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
  ['version 1', VERSION_1],
  ['version 2', VERSION_2],
] as const)('records of %s', (_, protection) => {
  const good = () => seal(engine, tensors, protection);

  it('pass', () => {
    expect(faultOf(good())).toBeNull();
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
