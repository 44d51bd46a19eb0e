import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  AbortError,
  decryptFile,
  encryptFile,
  generateKeys,
  inspectFile,
  load,
  loadFile,
  save,
  saveFile,
  saveSync,
} from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { KEYS, saveSmallModel, smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const plain = saveSmallModel(folder, 'plain.safetensors', { keys: undefined, chunkSize: undefined } as never);
const plainBytes = readFileSync(plain);

/** What is in the folder besides the files that a test names: leftovers. */
function leftovers(...expected: string[]): string[] {
  return readdirSync(folder).filter((name) => name !== 'plain.safetensors' && !expected.includes(name));
}

describe('encryptFile and decryptFile', () => {
  test.each([
    [{}],
    [{ version: 1 as const }],
    [{ chunkSize: 10, durable: false }],
    [{ tensors: '*.weight', integrity: 'blake3' as const }],
    [{ tensors: /bias/, integrity: false as const, policy: { local: 'package model\nallow = true # mine' } }],
  ])('there and back gives the same bytes: %j', async (options) => {
    const target = join(folder, 'there.safetensors');
    const back = join(folder, 'back.safetensors');
    const seen: number[] = [];
    await encryptFile(plain, pathToFileURL(target), {
      keys: KEYS,
      ...options,
      onProgress: (done, total) => seen.push(done, total),
    });
    expect(seen.at(-1)).toBe(seen.at(-2));
    expect(statSync(target).size % 4096).toBe(621 % 4096);
    await decryptFile(target, back, { keys: KEYS });
    expect(readFileSync(back)).toEqual(plainBytes);
    expect(leftovers('there.safetensors', 'back.safetensors')).toEqual([]);
  });

  test('in place', async () => {
    const path = join(folder, 'place.safetensors');
    writeFileSync(path, plainBytes);
    await encryptFile(path, path, { keys: KEYS });
    expect((await inspectFile(path)).encryption?.keys.enc.kid).toBe('enc-256');
    // The plaintext would replace the only copy of the protected file.
    const encrypted = readFileSync(path);
    await refusal('InvalidOption', () => decryptFile(path, path, { keys: KEYS }));
    expect(readFileSync(path)).toEqual(encrypted);
    await decryptFile(path, join(folder, 'place.plain.safetensors'), { keys: KEYS });
    expect(readFileSync(join(folder, 'place.plain.safetensors'))).toEqual(plainBytes);
  });

  test('a refusal leaves the target as it was, and nothing else behind', async () => {
    const target = join(folder, 'kept.safetensors');
    writeFileSync(target, 'kept');
    const before = leftovers();
    await refusal('InvalidOption', () => encryptFile(plain, target, { keys: KEYS, tensors: 'nope' }));
    await refusal('KeyNotFound', () => encryptFile(plain, target, { keys: KEYS, encKid: 'nope' }));
    await refusal('FileError', () => encryptFile(join(folder, 'nope'), target, { keys: KEYS }));
    await refusal('HeaderTooSmall', () => encryptFile(target, target, { keys: KEYS }));
    await refusal('FileError', () => encryptFile(plain, join(folder, 'no', 'such', 'folder'), { keys: KEYS }));
    await expect(encryptFile(plain, target, { keys: KEYS, signal: AbortSignal.abort() })).rejects.toBeInstanceOf(
      AbortError,
    );
    await expect(encryptFile(plain, target, { keys: 5 } as never)).rejects.toThrow(/^options.keys must be a path/);
    await refusal('KeyNotFound', () => encryptFile(plain, target, {}));
    await refusal('InvalidOption', () => encryptFile(plain, target, { keys: KEYS, version: 1, chunkSize: 5 }));
    await refusal('InvalidOption', () => encryptFile(plain, join(folder, 'x.index.json'), { keys: KEYS }));
    expect(readFileSync(target, 'utf8')).toBe('kept');
    expect(leftovers()).toEqual(before);
  });

  test('a file that is encrypted already is not encrypted again', async () => {
    const path = saveSmallModel(folder, 'twice.safetensors');
    await refusal('InvalidOption', () => encryptFile(path, path, { keys: KEYS }));
  });

  test('a tampered file is not decrypted, not even in part', async () => {
    const path = saveSmallModel(folder, 'tampered.safetensors');
    const bytes = readFileSync(path);
    bytes[bytes.byteLength - 1]! ^= 1;
    writeFileSync(path, bytes);
    const target = join(folder, 'never.safetensors');
    const error = await refusal('BadTag', () => decryptFile(path, target, { keys: KEYS }));
    expect(error.tensor).toBe('mask');
    expect(existsSync(target)).toBe(false);
    expect(leftovers().some((name) => name.endsWith('.tmp'))).toBe(false);
  });
});

describe('saveFile and save', () => {
  test('the bytes are those of the file, for a plain file', async () => {
    expect(Buffer.from(await save(smallTensors()))).toEqual(plainBytes);
    expect(Buffer.from(saveSync(Object.fromEntries(smallTensors())))).toEqual(plainBytes);
  });

  test('a fresh DEK and fresh IVs each time', async () => {
    const [first, second] = [await save(smallTensors(), { keys: KEYS }), await save(smallTensors(), { keys: KEYS })];
    expect(first.byteLength).toBe(second.byteLength);
    expect(Buffer.compare(first.subarray(-621), second.subarray(-621))).not.toBe(0);
    for (const bytes of [first, second])
      expect((await load(bytes, { keys: KEYS })).get('mask')!.data).toEqual(Uint8Array.of(1, 0, 1));
  });

  test('takes generated keys, of any algorithm, and infers dtypes', async () => {
    for (const algorithm of ['aes128gcm', 'aes256gcm', 'chacha20poly1305'] as const) {
      const keys = generateKeys({ algorithm });
      const bytes = await save(
        { w: { shape: [2], data: new BigUint64Array([1n, 2n]) } },
        { keys, metadata: new Map([['a', 'b']]) },
      );
      const tensor = (await load(bytes, { keys })).get('w')!;
      expect(tensor.dtype).toBe('U64');
      expect(tensor.data).toEqual(new BigUint64Array([1n, 2n]));
      expect((await inspectFile(bytes)).encryption?.keys.enc.algorithm).toBe(algorithm);
    }
  });

  test.each<[string, string, Record<string, unknown>, object?]>([
    ['data too short', 'TensorInvalidInfo', { w: { shape: [3], data: new Float32Array(2) } }],
    ['half a byte', 'MisalignedSlice', { w: { dtype: 'F4', shape: [3], data: new Uint8Array(2) } }],
    ['a negative dimension', 'InvalidOption', { w: { shape: [-1], data: new Float32Array(2) } }],
    ['an unknown dtype', 'InvalidOption', { w: { dtype: 'f32', shape: [2], data: new Float32Array(2) } }],
    ['no dtype', 'InvalidOption', { w: { shape: [2], data: new ArrayBuffer(8) } }],
    ['a reserved name', 'InvalidOption', { __metadata__: { shape: [2], data: new Float32Array(2) } }],
    ['half a surrogate pair', 'InvalidOption', { '\ud800': { shape: [2], data: new Float32Array(2) } }],
    ['reserved metadata', 'InvalidOption', {}, { metadata: { __encryption__: '{}' } }],
    ['an option that needs keys', 'InvalidOption', {}, { tensors: '*' }],
    [
      'too many tags',
      'HeaderTooLarge',
      { w: { shape: [8_000_000], data: new Uint8Array(8_000_000) } },
      { keys: KEYS, chunkSize: 1 },
    ],
  ])('refuses %s', async (_, code, tensors, options) => {
    await refusal(code as never, () => save(tensors as never, options));
  });

  test.each<[string, RegExp, unknown, object?]>([
    ['a list of tensors', /tensors must be/, []],
    ['no shape', /shape must be an array/, { w: { data: new Float32Array(2) } }],
    ['data in a list', /data must be/, { w: { shape: [1], data: [1] } }],
    ['metadata that is no string', /must be a string/, {}, { metadata: { a: 1 } }],
    ['an unknown option', /unknown option "key"/, {}, { key: KEYS }],
    ['a path as JSON text', /path/, {}, { keys: '{"keys":[]}' }],
  ])('a TypeError for %s', async (_, message, tensors, options) => {
    await expect(save(tensors as never, options)).rejects.toThrow(message);
    await expect(save(tensors as never, options)).rejects.toBeInstanceOf(TypeError);
  });

  test('cannot write where there is no folder', async () => {
    const error = await refusal('FileError', () => saveFile(smallTensors(), join(folder, 'no', 'file')));
    expect(error).toMatchObject({ systemCode: 'ENOENT', path: join(folder, 'no', 'file') });
  });

  test('saving what was loaded, encrypted, under another key', async () => {
    const keys = generateKeys();
    const path = join(folder, 'other-key.safetensors');
    await saveFile(await loadFile(plain), path, { keys });
    expect((await loadFile(path, { keys })).get('position')!.data).toEqual(smallTensors().get('position')!.data);
    await refusal('UntrustedSigner', () => loadFile(path, { keys: KEYS }));
  });
});
