/** What is handed in as tensors: only maps and plain objects are collections of them, and data must be what its dtype says. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadFile, loadFileSync, safeOpenSync, save, saveFile, saveFileSync, saveSync } from 'cryptotensors';
import type { TensorLike, TensorsInput } from 'cryptotensors';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const one: TensorLike = { dtype: 'F32', shape: [1], data: Float32Array.of(1) };

/** The four ways to write tensors, each into a path where it takes one. */
const WRITERS: [string, (input: TensorsInput, path: string) => unknown][] = [
  ['saveFile', (input, path) => saveFile(input, path)],
  ['saveFileSync', (input, path) => saveFileSync(input, path)],
  ['save', (input) => save(input)],
  ['saveSync', (input) => saveSync(input)],
];

/** What has no tensors of its own, or not as tensors by name, and how it is named. */
const OTHERS: [string, () => unknown, RegExp][] = [
  ['a Promise', () => Promise.resolve(new Map([['x', one]])), /a Promise: was await forgotten\?/],
  ['an array', () => [one], /an array/],
  ['entries', () => new Map([['x', one]]).entries(), /not an/],
  ['a Set', () => new Set([one]), /an instance of Set/],
  ['a WeakMap', () => new WeakMap(), /an instance of WeakMap/],
  ['what has the methods of a Map', () => new (class MapLike { size = 1; *entries() { yield ['x', one]; } })(), /MapLike/], // prettier-ignore
  ['an object of a class', () => new (class Model { weight = one; })(), /an instance of Model/], // prettier-ignore
  ['a typed array', () => new Float32Array(2), /an instance of Float32Array/],
  ['an ArrayBuffer', () => new ArrayBuffer(4), /an instance of ArrayBuffer/],
  ['a Date', () => new Date(0), /an instance of Date/],
  ['an error', () => new Error('x'), /an instance of Error/],
  ['a function', () => () => new Map([['x', one]]), /a function/],
  ['a string', () => 'model.safetensors', /a string/],
  ['null', () => null, /null/],
  ['undefined', () => undefined, /undefined/],
];

describe.each(WRITERS)('%s', (name, write) => {
  const path = join(folder, `${name}.safetensors`);

  test.each(OTHERS)('refuses %s, and leaves the file that is there', async (_, make, words) => {
    saveFileSync({ x: one }, path);
    const before = readFileSync(path);
    const work = Promise.resolve().then(() => write(make() as TensorsInput, path));
    await expect(work).rejects.toThrow(TypeError);
    await expect(work).rejects.toThrow(words);
    await expect(work).rejects.toThrow(/^tensors must be a Map or a plain object of tensors by name/);
    expect(readFileSync(path)).toEqual(before);
  });

  test('refuses a SafeFile, of which nobody says what to read', async () => {
    saveFileSync({ x: one }, path);
    const file = safeOpenSync(path, { allowPlain: true });
    const work = Promise.resolve().then(() => write(file as unknown as TensorsInput, path));
    await expect(work).rejects.toThrow(/an instance of SafeFile/);
    expect(file.getTensorSync('x').data).toEqual(Float32Array.of(1));
  });

  test('refuses tensors of which one is a promise or an array', async () => {
    for (const tensor of [Promise.resolve(one), [1, 2], 7, null]) {
      const target = join(folder, `${name}-never.safetensors`);
      const work = Promise.resolve().then(() => write({ y: tensor } as unknown as TensorsInput, target));
      await expect(work).rejects.toThrow(/^tensors\["y"\](\.shape)? must be an/);
      expect(existsSync(target)).toBe(false);
    }
  });
});

test('a forgotten await leaves the only copy as it was', async () => {
  const path = join(folder, 'only-copy.safetensors');
  saveFileSync({ x: one }, path);
  const forgotten = loadFile(path, { allowPlain: true });
  await expect(saveFile(forgotten as unknown as TensorsInput, path)).rejects.toThrow(/was await forgotten/);
  await forgotten;
  expect(loadFileSync(path, { allowPlain: true }).get('x')!.data).toEqual(Float32Array.of(1));
});

test('a plain object without a prototype, a Map of a class that extends it, and no tensors at all are written', () => {
  const bare = Object.assign(Object.create(null) as Record<string, TensorLike>, { x: one });
  const extended = new (class Weights extends Map<string, TensorLike> {})([['x', one]]);
  for (const input of [bare, extended]) {
    expect([...safeOpenSync(saveSync(input), { allowPlain: true }).keys()]).toEqual(['x']);
  }
  expect(safeOpenSync(saveSync({}), { allowPlain: true }).size).toBe(0);
});

describe('data and dtype', () => {
  const ARRAYS = {
    Int8Array: ['I8'], Uint8ClampedArray: ['U8'], Int16Array: ['I16'], Uint16Array: ['U16', 'F16', 'BF16'],
    Int32Array: ['I32'], Uint32Array: ['U32'], Float32Array: ['F32', 'C64'], Float64Array: ['F64'],
    BigInt64Array: ['I64'], BigUint64Array: ['U64'],
  } as const; // prettier-ignore
  const BYTES = { BOOL: 1, U8: 1, I8: 1, F8_E4M3: 1, I16: 2, U16: 2, F16: 2, BF16: 2, I32: 4, U32: 4, F32: 4, C64: 8, F64: 8, I64: 8, U64: 8 } as const; // prettier-ignore
  type Name = keyof typeof BYTES;
  const names = Object.keys(BYTES) as Name[];

  test.each(Object.entries(ARRAYS))('a %s is written as %s and as nothing else', (kind, fits) => {
    const Kind = (globalThis as unknown as Record<string, new (buffer: ArrayBuffer) => Uint8Array>)[kind]!;
    for (const dtype of names) {
      const data = new Kind(new ArrayBuffer(8));
      const write = (): unknown => saveSync({ x: { dtype, shape: [8 / BYTES[dtype]], data } });
      if ((fits as readonly string[]).includes(dtype)) expect(write, dtype).not.toThrow();
      else expect(write, dtype).toThrow(TypeError);
    }
  });

  test.each(['Uint8Array', 'ArrayBuffer', 'DataView'])('a %s is bytes of any dtype', (kind) => {
    for (const dtype of names) {
      const buffer = new ArrayBuffer(8);
      const data =
        kind === 'ArrayBuffer' ? buffer : kind === 'DataView' ? new DataView(buffer) : new Uint8Array(buffer);
      expect(() => saveSync({ x: { dtype, shape: [8 / BYTES[dtype]], data } }), dtype).not.toThrow();
    }
  });

  test('the message says which arrays fit', () => {
    expect(() => saveSync({ x: { dtype: 'F32', shape: [1], data: Int32Array.of(1) } })).toThrow(
      /^tensors\["x"\]\.data must be F32.*Int32Array, for I32/,
    );
  });
});
