import { mkdirSync, readFileSync, renameSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import {
  AbortError,
  inspectFileSync,
  loadFile,
  loadFileSync,
  safeOpen,
  safeOpenSync,
  saveFileSync,
  verifyFile,
  verifyFileSync,
} from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { KEYS, bytesOf, saveSmallModel, smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const encrypted = saveSmallModel(folder, 'encrypted.safetensors', { metadata: { format: 'pt', constructor: 'y' } });
const plain = saveSmallModel(folder, 'plain.safetensors', { keys: undefined, chunkSize: undefined } as never);

describe('SafeFile', () => {
  test('says what the header says, without reading a tensor', async () => {
    await using model = await safeOpen(encrypted, { keys: KEYS });
    expect(model.keys()).toEqual(['empty', 'encoder.bias', 'encoder.weight', 'mask', 'position', 'scale']);
    // The writer's order: dtype descending, then name.
    expect(model.offsetKeys()).toEqual(['position', 'encoder.bias', 'encoder.weight', 'empty', 'scale', 'mask']);
    expect(model.size).toBe(6);
    expect(model.has('mask')).toBe(true);
    expect(model.has('constructor')).toBe(false);
    expect(model.encrypted).toBe(true);
    expect(model.signers()).toEqual(['sign-a']);
    expect({ ...model.metadata() }).toEqual({ format: 'pt', constructor: 'y' });
    expect(Object.keys(model.reservedMetadata()!).sort()).toEqual([
      '__crypto_keys__',
      '__encryption__',
      '__policy__',
      '__signature__',
    ]);
    expect(model.info('encoder.weight')).toEqual({
      name: 'encoder.weight',
      dtype: 'F32',
      shape: [8, 16],
      exactShape: ['8', '16'],
      dataOffsets: [104, 616],
      byteLength: 512,
      encrypted: true,
      check: 'tag',
    });
  });

  test.each([
    ['encrypted', encrypted, { keys: KEYS }],
    ['plain', plain, {}],
  ])('reads %s tensors: one, some, all, eager, sync, async', async (_, path, options) => {
    const expected = smallTensors();
    await using model = await safeOpen(path, options);
    for (const [name, { data, shape, dtype }] of expected) {
      for (const tensor of [await model.getTensor(name), model.getTensorSync(name)]) {
        expect(tensor).toMatchObject({ name, dtype, shape });
        expect(tensor.bytes).toEqual(bytesOf(data));
        expect(tensor.data).toEqual(data);
      }
    }
    const some = await model.getTensors({ names: ['scale', 'mask', 'scale'] });
    expect([...some.keys()].sort()).toEqual(['mask', 'scale']);
    for (const all of [
      await model.getTensors(),
      model.getTensorsSync(),
      await loadFile(path, options),
      loadFileSync(path, options),
    ]) {
      expect([...all.keys()]).toEqual(model.offsetKeys());
      for (const [name, tensor] of all) {
        expect(tensor.data).toEqual(expected.get(name)!.data);
        // All are as far from a cache line's start as the first, which the engine aligned.
        expect((tensor.bytes.byteOffset - all.values().next().value!.bytes.byteOffset) % 64).toBe(0);
      }
    }
  });

  test('opens the same from bytes', async () => {
    using model = safeOpenSync(readFileSync(encrypted), { keys: KEYS });
    expect((await model.getTensor('mask')).data).toEqual(Uint8Array.of(1, 0, 1));
  });

  test('reads into shared memory and into the caller’s own', async () => {
    await using model = await safeOpen(encrypted, { keys: KEYS });
    const shared = await model.getTensors({ shared: true });
    expect(shared.get('mask')!.bytes.buffer).toBeInstanceOf(SharedArrayBuffer);

    const into = new Uint8Array(4096).fill(0xee);
    const tensor = await model.getTensor('encoder.bias', { into });
    // Taken over, and given back by the result.
    expect(into.byteLength).toBe(0);
    const given = new Uint8Array(tensor.bytes.buffer);
    expect(given.byteLength).toBe(4096);
    expect(given.subarray(64).every((byte) => byte === 0xee)).toBe(true);
    tensor.dispose();
    expect(given.byteLength).toBe(4096);
    const again = model.getTensorSync('encoder.bias', { into: given });
    expect(again.bytes.buffer).toBe(given.buffer);

    await refusal('InvalidOption', () => model.getTensor('encoder.bias', { into: new ArrayBuffer(63) }));
    await refusal('InvalidOption', () =>
      model.getTensor('encoder.bias', { into: new Uint8Array(new ArrayBuffer(100), 4) }),
    );
    await expect(model.getTensor('encoder.bias', { into: [] as never })).rejects.toThrow(/options\.into must be/);
  });

  test('maps plain tensors, and refuses to map others', async () => {
    await using model = await safeOpen(plain);
    for (const [name, { data }] of smallTensors()) {
      expect((await model.getTensor(name, { map: true })).data).toEqual(data);
      expect(model.getTensorSync(name, { map: true }).data).toEqual(data);
    }
    const all = await loadFile(plain, { map: true });
    const mask = all.get('mask')!;
    // A private mapping: what is written to it does not reach the file.
    mask.bytes[0] = 9;
    expect((await model.getTensor('mask')).bytes[0]).toBe(1);

    await using locked = await safeOpen(encrypted, { keys: KEYS });
    const error = await refusal('InvalidOption', () => locked.getTensor('mask', { map: true }));
    expect(error.tensor).toBe('mask');
    const digested = saveSmallModel(folder, 'digested.safetensors', { tensors: 'encoder.*' });
    await using partial = await safeOpen(digested, { keys: KEYS });
    await refusal('InvalidOption', () => partial.getTensor('mask', { map: true }));
    await refusal('InvalidOption', () => model.getTensor('mask', { map: true, shared: true }));
    using bytes = safeOpenSync(readFileSync(plain));
    await refusal('InvalidOption', () => bytes.getTensor('mask', { map: true }));
  });

  test('reads slices', async () => {
    await using model = await safeOpen(encrypted, { keys: KEYS });
    const slice = model.getSlice('encoder.weight');
    expect(slice).toMatchObject({ name: 'encoder.weight', dtype: 'F32', shape: [8, 16] });
    const rows = await slice.read([2, 4]);
    expect(rows.shape).toEqual([2, 16]);
    expect(rows.data).toEqual(Float32Array.from({ length: 32 }, (_, i) => (i + 32) / 3));
    const column = slice.readSync(null, -1);
    expect(column.shape).toEqual([8]);
    expect(column.data).toEqual(Float32Array.from({ length: 8 }, (_, i) => (i * 16 + 15) / 3));
    expect((await slice.read(0, 0)).shape).toEqual([]);
    expect((await slice.read([3, 3])).shape).toEqual([0, 16]);
    expect((await slice.read()).byteLength).toBe(512);
    await refusal('TooManySlices', () => slice.read(null, null, null));
    await refusal('SliceOutOfRange', () => slice.read([0, 9]));
    await refusal('SliceOutOfRange', () => slice.read(-9));
    await expect(slice.read('0' as never)).rejects.toBeInstanceOf(TypeError);
  });

  test('refuses what is not there', async () => {
    await using model = await safeOpen(encrypted, { keys: KEYS });
    const error = await refusal('TensorNotFound', () => model.getTensor('weight\n\u001b[31m'));
    expect(error.message).not.toMatch(/\p{Cc}/u);
    expect(() => model.getSlice('nope')).toThrow(/no tensor "nope"/);
    await expect(model.getTensor(3 as never)).rejects.toThrow(/name must be a string/);
    await expect(model.getTensors({ names: 'mask' as never })).rejects.toThrow(/options\.names must be/);
  });

  test('refuses unknown options and wrong types', async () => {
    await expect(safeOpen(encrypted, { key: KEYS } as never)).rejects.toThrow(/unknown option "key"/);
    await expect(safeOpen(encrypted, { keys: KEYS, allowPlain: 'yes' } as never)).rejects.toThrow(
      /options\.allowPlain must be a boolean/,
    );
    await expect(safeOpen(7 as never)).rejects.toThrow(/input must be a path/);
    expect(() => safeOpenSync('')).toThrow(/must be a path/);
    await refusal('InvalidOption', () => safeOpen(encrypted, { keys: KEYS, threads: 0 }));
  });

  test('a file that is not there, and one that is a folder', async () => {
    const error = await refusal('FileError', () => safeOpen(join(folder, 'nope'), { keys: KEYS }));
    expect(error).toMatchObject({ systemCode: 'ENOENT', path: join(folder, 'nope') });
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    expect(await refusal('FileError', () => safeOpenSync(empty))).toMatchObject({ systemCode: 'EISDIR', path: empty });
    // This one holds several models, of which one is to be chosen.
    await refusal('InvalidOption', () => safeOpenSync(folder));
  });

  test('a plain file is refused once keys are configured, unless allowed', async () => {
    await refusal('NotEncrypted', () => safeOpen(plain, { keys: KEYS }));
    await refusal('NotEncrypted', () => safeOpen(plain, { trust: KEYS }));
    using model = await safeOpen(plain, { keys: KEYS, allowPlain: true });
    expect(model.encrypted).toBe(false);
  });

  test('close ends reads that are under way; what was handed out stays', async () => {
    const model = await safeOpen(encrypted, { keys: KEYS });
    const kept = await model.getTensor('mask');
    await model.close();
    await model.close();
    expect(kept.data).toEqual(Uint8Array.of(1, 0, 1));
    await refusal('Closed', () => model.getTensor('mask'));
    await refusal('Closed', () => model.getTensorsSync());
    await refusal('Closed', () => model.getSlice('mask'));
    expect(inspect(model)).toMatch(/closed/);
    kept.dispose();
    kept.dispose();
    await refusal('Closed', () => kept.bytes);
  });

  test('an aborted signal ends opening and reading with an AbortError and its reason', async () => {
    const reason = new Error('enough');
    await expect(safeOpen(encrypted, { keys: KEYS, signal: AbortSignal.abort(reason) })).rejects.toBeInstanceOf(
      AbortError,
    );
    await using model = await safeOpen(encrypted, { keys: KEYS });
    const error: unknown = await model.getTensors({ signal: AbortSignal.abort(reason) }).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'AbortError', code: 'ABORT_ERR', cause: reason });
  });

  test('shows neither keys nor weights when it is printed', async () => {
    await using model = await safeOpen(encrypted, { keys: KEYS });
    const tensor = await model.getTensor('mask');
    const shown = [
      inspect(model, { depth: 10, showHidden: true }),
      JSON.stringify(model),
      inspect(tensor),
      JSON.stringify(tensor),
    ].join();
    for (const { k, d } of (JSON.parse(readFileSync(KEYS, 'utf8')) as { keys: { k?: string; d?: string }[] }).keys) {
      for (const secret of [k, d]) if (secret !== undefined) expect(shown).not.toContain(secret);
    }
    expect(shown).toContain('3 bytes');
  });
});

describe('a file that changes', () => {
  test('shrinks after it was opened: FileChanged', async () => {
    const path = saveSmallModel(folder, 'shrinks.safetensors');
    await using model = await safeOpen(path, { keys: KEYS });
    truncateSync(path, statSync(path).size - 1);
    await refusal('FileChanged', () => model.getTensor('mask'));
  });

  test('is replaced by rename: the open file stays what it was', async () => {
    const path = saveSmallModel(folder, 'replaced.safetensors');
    const other = join(folder, 'other.safetensors');
    writeFileSync(other, 'x');
    await using model = await safeOpen(path, { keys: KEYS });
    renameSync(other, path);
    expect((await model.getTensor('mask')).data).toEqual(Uint8Array.of(1, 0, 1));
  });

  test('a flipped bit in the data: BadTag, with tensor and chunk; the other tensors still read', async () => {
    const path = saveSmallModel(folder, 'flipped.safetensors');
    const bytes = readFileSync(path);
    const { tensors } = inspectFileSync(path);
    const dataStart = bytes.byteLength - tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const offset = 104; // of encoder.weight in the data section
    bytes[dataStart + offset + 130]! ^= 4;
    writeFileSync(path, bytes);
    await using model = await safeOpen(path, { keys: KEYS });
    const into = new Uint8Array(new SharedArrayBuffer(1024)).fill(0xee);
    const error = await refusal('BadTag', () => model.getTensors({ names: ['encoder.weight', 'mask'], into }));
    expect(error).toMatchObject({ tensor: 'encoder.weight', chunk: 2, path });
    // What was written has been wiped, the rest is as it was.
    expect(into.subarray(0, 512).every((byte) => byte === 0 || byte === 0xee)).toBe(true);
    await refusal('BadTag', () => model.getTensorSync('encoder.weight'));
    await refusal('BadTag', () => verifyFile(path, { keys: KEYS }));
    expect((await model.getTensor('mask')).data).toEqual(Uint8Array.of(1, 0, 1));
    expect((await model.getSlice('encoder.weight').read([0, 2])).byteLength).toBe(128);
  });
});

describe('verifyFile', () => {
  test('says what it covered', async () => {
    const partial = saveSmallModel(folder, 'partial.safetensors', { tensors: 'encoder.*', integrity: false });
    const full = { encrypted: true, signers: ['sign-a'], tensors: 6, bytes: 621, files: [], unlisted: [] };
    expect(await verifyFile(encrypted, { keys: KEYS })).toEqual({
      ...full,
      pins: [inspectFileSync(encrypted).pin],
      unprotected: [],
    });
    expect(verifyFileSync(partial, { keys: KEYS })).toEqual({
      ...full,
      pins: [inspectFileSync(partial).pin],
      unprotected: ['position', 'empty', 'scale', 'mask'],
    });
    expect(await verifyFile(plain)).toMatchObject({ encrypted: false, signers: [] });
  });

  test.each(['sha256', 'blake3'] as const)(
    'finds a flipped bit in a plain tensor by its %s digest',
    async (integrity) => {
      const path = saveSmallModel(folder, `${integrity}.safetensors`, { tensors: 'encoder.*', integrity });
      expect((await verifyFile(path, { keys: KEYS })).unprotected).toEqual([]);
      const bytes = readFileSync(path);
      bytes[bytes.byteLength - 1]! ^= 1;
      writeFileSync(path, bytes);
      const error = await refusal('BadDigest', () => verifyFile(path, { keys: KEYS }));
      expect(error.tensor).toBe('mask');
      await refusal('BadDigest', () => loadFile(path, { keys: KEYS }));
    },
  );
});

test('saving what was loaded gives the same tensors', async () => {
  const path = join(folder, 'again.safetensors');
  saveFileSync(await loadFile(encrypted, { keys: KEYS }), path);
  expect(readFileSync(path)).toEqual(readFileSync(plain));
});
