import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadFile, safeOpen, saveFileSync, verifyFile } from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { KEYS, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const index = join(folder, 'model.safetensors.index.json');
const first = { a: { shape: [3], data: Float32Array.of(1, 2, 3) }, b: { shape: [2], data: Int8Array.of(4, 5) } };
const second = { c: { shape: [1000], data: Float64Array.from({ length: 1000 }, (_, i) => i) } };
saveFileSync(first, join(folder, 'one.safetensors'), { keys: KEYS, metadata: { part: '1' } });
saveFileSync(second, join(folder, 'two.safetensors'), { keys: KEYS, metadata: { part: '2', more: 'x' } });
const weightMap = { a: 'one.safetensors', b: 'one.safetensors', c: 'two.safetensors' };
writeShardIndex(index, weightMap);

describe('a sharded model', () => {
  test('opens as one', async () => {
    await using model = await safeOpen(index, { keys: KEYS });
    expect(model.keys()).toEqual(['a', 'b', 'c']);
    expect({ ...model.metadata() }).toEqual({ part: '1', more: 'x' });
    expect(model.signers()).toEqual(['sign-a', 'sign-a']);
    for (const all of [await model.getTensors(), model.getTensorsSync(), await loadFile(index, { keys: KEYS })]) {
      expect(all.get('a')!.data).toEqual(first.a.data);
      expect(all.get('b')!.data).toEqual(first.b.data);
      expect(all.get('c')!.data).toEqual(second.c.data);
      expect(new Set([...all.values()].map(({ bytes }) => bytes.buffer)).size).toBe(1);
    }
    expect((await model.getSlice('c').read([10, 12])).data).toEqual(Float64Array.of(10, 11));
    expect((await verifyFile(index, { keys: KEYS })).tensors).toBe(3);
  });

  test.each<[string, unknown]>([
    ['a shard outside the folder', { ...weightMap, a: '../one.safetensors' }],
    ['an absolute path', { ...weightMap, a: '/etc/passwd' }],
    ['a backslash', { ...weightMap, a: '..\\one.safetensors' }],
    ['a folder', { ...weightMap, a: '..' }],
    ['a number', { ...weightMap, a: 1 }],
    ['a tensor that its shard lacks', { ...weightMap, d: 'one.safetensors' }],
    ['a tensor in another shard than it says', { ...weightMap, a: 'two.safetensors' }],
    ['a tensor that is not listed', { a: 'one.safetensors', c: 'two.safetensors' }],
    ['no tensor', {}],
    ['no map', null],
  ])('refuses an index with %s', async (_, map) => {
    const path = join(folder, 'bad.safetensors.index.json');
    writeShardIndex(path, map as Record<string, unknown>);
    await refusal('InvalidIndex', () => safeOpen(path, { keys: KEYS }));
  });

  test('says of a protected model whose index is older than its shards how to make the index anew', async () => {
    const path = join(folder, 'stale.safetensors.index.json');
    writeShardIndex(path, { a: 'one.safetensors', c: 'two.safetensors' });
    const { message } = await refusal('InvalidIndex', () => safeOpen(path, { keys: KEYS }));
    expect(message).toMatch(
      /does not list the tensor "b" of "one.safetensors".*Make the index anew: in its "weight_map"/,
    );
  });

  test('passes over what the older index of a plain model does not list, with a warning', async () => {
    const path = join(folder, 'plain.safetensors.index.json');
    saveFileSync(first, join(folder, 'plain-1.safetensors'), {});
    saveFileSync(second, join(folder, 'plain-2.safetensors'), {});
    writeShardIndex(path, { a: 'plain-1.safetensors', c: 'plain-2.safetensors' });
    const warnings: Error[] = [];
    const listen = (warning: Error): void => void warnings.push(warning);
    process.on('warning', listen);
    try {
      expect([...(await loadFile(path)).keys()].sort()).toEqual(['a', 'c']);
      await using model = await safeOpen(path);
      expect([...model.keys()].sort()).toEqual(['a', 'c']);
      await refusal('TensorNotFound', () => model.getTensor('b'));
      await new Promise((resolve) => setImmediate(resolve));
    } finally {
      process.off('warning', listen);
    }
    expect(warnings[0]).toMatchObject({ name: 'CryptoTensorsWarning', code: 'STALE_INDEX' });
    expect(warnings[0]!.message).toContain('does not list the tensor "b" of its shards: passed over');
  });

  test('refuses an index that is not JSON, lists a tensor twice, or names a file that is not there', async () => {
    const path = join(folder, 'odd.safetensors.index.json');
    writeFileSync(path, '{"weight_map":{"a":"one.safetensors","a":"two.safetensors"}}');
    await refusal('InvalidIndex', () => safeOpen(path, { keys: KEYS }));
    writeFileSync(path, 'model');
    await refusal('InvalidIndex', () => safeOpen(path, { keys: KEYS }));
    writeShardIndex(path, { ...weightMap, c: 'three.safetensors' });
    expect(await refusal('FileError', () => safeOpen(path, { keys: KEYS }))).toMatchObject({ systemCode: 'ENOENT' });
  });

  test('a plain shard among encrypted ones is refused', async () => {
    saveFileSync(second, join(folder, 'plain.safetensors'));
    const path = join(folder, 'mixed.safetensors.index.json');
    writeShardIndex(path, { ...weightMap, c: 'plain.safetensors' });
    await refusal('NotEncrypted', () => safeOpen(path, { keys: KEYS }));
  });
});
