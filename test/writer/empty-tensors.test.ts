import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  decryptFile,
  encryptFile,
  load,
  loadFile,
  loadSync,
  safeOpen,
  save,
  saveFile,
  saveFileSync,
  saveSync,
} from 'cryptotensors';
import { WasmMemory } from '../attacks/memory.js';
import { KEYS } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

/** A tensor of no elements needs no memory: there is none that could be taken away while a thread works on it. */
const folder = temporaryFolder();

/** Memory of no bytes in all forms: of the library's, of the caller's, of a larger buffer, of the pool, shared, of WebAssembly. */
const EMPTY: Record<string, () => Uint8Array> = {
  'of its own': () => new Uint8Array(0),
  'in a larger buffer': () => new Uint8Array(new ArrayBuffer(64), 8, 0),
  'at the end of a larger buffer': () => new Uint8Array(new ArrayBuffer(64), 64, 0),
  'a Buffer': () => Buffer.alloc(0),
  shared: () => new Uint8Array(new SharedArrayBuffer(0)),
  'of WebAssembly': () => new Uint8Array(new WasmMemory({ initial: 1 }).buffer, 0, 0),
};

const tensorsOf = (data: Uint8Array) => ({
  none: { dtype: 'U8', shape: [3, 0], data } as const,
  large: { dtype: 'U8', shape: [2 << 20], data: new Uint8Array(2 << 20).fill(7) } as const,
  small: { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) } as const,
});

describe.each(Object.entries(EMPTY))('an empty tensor, %s', (_, empty) => {
  describe.each([
    ['encrypted', { keys: KEYS }],
    ['plain', {}],
  ])('%s', (kind, options) => {
    test.each([{ transfer: false }, { transfer: true }])('is written in every form: %o', async ({ transfer }) => {
      const path = join(folder, `${kind}.safetensors`);
      const only = () => ({ none: tensorsOf(empty()).none });
      for (const tensors of [() => tensorsOf(empty()), only]) {
        const texts = [await save(tensors(), { ...options, transfer }), saveSync(tensors(), options)];
        for (const bytes of texts) {
          expect((await load(bytes, options)).get('none')!.shape).toEqual([3, 0]);
          expect(loadSync(bytes, options).get('none')!.byteLength).toBe(0);
        }
        await saveFile(tensors(), path, { ...options, transfer, durable: false });
        expect((await loadFile(path, options)).get('none')!.byteLength).toBe(0);
        saveFileSync(tensors(), path, { ...options, durable: false });
        expect((await loadFile(path, options)).get('none')!.byteLength).toBe(0);
      }
    });

    test('is read into the memory of no bytes, whole and by slices', async () => {
      const path = join(folder, `${kind}-read.safetensors`);
      saveFileSync(tensorsOf(new Uint8Array(0)), path, { ...options, durable: false });
      await using file = await safeOpen(path, options);
      for (const into of [empty(), empty().buffer]) {
        expect((await file.getTensor('none', { into })).byteLength).toBe(0);
        expect(file.getTensorSync('none', { into }).byteLength).toBe(0);
        expect((await file.getTensors({ names: ['none'], into })).get('none')!.byteLength).toBe(0);
        expect((await file.getSlice('none').read(null, null, { into })).shape).toEqual([3, 0]);
        expect((await file.getSlice('large').read([5, 5], { into })).shape).toEqual([0]);
        expect(file.getSlice('large').readSync([5, 5], { into }).byteLength).toBe(0);
      }
    });
  });
});

test('a file of empty tensors only is encrypted and decrypted', async () => {
  const [plain, sealed, back] = ['p', 's', 'b'].map((name) => join(folder, `only-${name}.safetensors`)) as [
    string,
    string,
    string,
  ];
  await saveFile({ none: { dtype: 'F32', shape: [0], data: new Float32Array(0) } }, plain, { durable: false });
  await encryptFile(plain, sealed, { keys: KEYS });
  await decryptFile(sealed, back, { keys: KEYS });
  expect((await loadFile(back)).get('none')!.shape).toEqual([0]);
});
