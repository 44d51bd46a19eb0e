import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { COMPRESSED_ENGINE } from '#dist/policy/engine-bytes.js';

/* The properties that the sandbox rests on, of the module that is shipped (native/rust/policy/README.md). */

/** The part of the WebAssembly API that these tests look with. Node's types do not declare it. */
interface Api {
  Module: {
    new (bytes: Uint8Array): object;
    imports(module: object): unknown[];
    exports(module: object): { name: string; kind: string }[];
  };
  Instance: new (module: object) => {
    exports: {
      memory: { grow(pages: number): number; buffer: ArrayBuffer };
      fuel: { value: bigint };
      stack: { value: number };
      alloc(length: number): number;
    };
  };
}
const { Module, Instance } = (globalThis as unknown as { WebAssembly: Api }).WebAssembly;

const root = join(import.meta.dirname, '../..');
const shipped = inflateRawSync(Buffer.from(COMPRESSED_ENGINE, 'base64'));
const PAGE = 65_536;

describe('policy.wasm', () => {
  test('is the file whose checksum is committed', () => {
    const line = readFileSync(join(root, 'src/policy/policy.wasm.sha256'), 'utf8');
    expect(line).toBe(`${createHash('sha256').update(shipped).digest('hex')}  policy.wasm\n`);
  });

  test('imports nothing: no clock, no randomness, no input or output', () => {
    expect(Module.imports(new Module(shipped))).toEqual([]);
  });

  test('exports the functions of its interface, and no other', () => {
    const functions = Module.exports(new Module(shipped)).filter(({ kind }) => kind === 'function');
    expect(functions.map(({ name }) => name).sort()).toEqual([
      'alloc',
      'analyse',
      'ask',
      'check_calls',
      'compile',
      'panicked',
      'read',
    ]);
  });

  test('does nothing without fuel', () => {
    const engine = new Instance(new Module(shipped)).exports;
    engine.stack.value = 10_000;
    expect(engine.fuel.value).toBe(0n);
    expect(() => engine.alloc(1_000)).toThrow('unreachable');
    engine.fuel.value = 10_000_000n;
    expect(engine.alloc(1_000)).toBeGreaterThan(0);
    expect(engine.fuel.value).toBeLessThan(10_000_000n);
  });

  test('cannot have more than 64 MiB of memory', () => {
    const { memory } = new Instance(new Module(shipped)).exports;
    const room = 1024 - memory.buffer.byteLength / PAGE;
    expect(() => memory.grow(room + 1)).toThrow(RangeError);
    memory.grow(room);
    expect(memory.buffer.byteLength).toBe(64 * 1024 * 1024);
  });

  test('holds no path of the machine that built it', () => {
    expect(shipped.toString('latin1')).not.toMatch(/\/(home|root|work|tmp|usr|Users)\//);
  });
});
