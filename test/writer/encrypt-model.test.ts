import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { decryptModel, encryptFile, encryptModel, inspectFile, safeOpen, safeOpenSync, saveFileSync, verifyFile } from 'cryptotensors'; // prettier-ignore
import type { EncryptModelOptions } from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { refusal } from '../support/errors.js';
import { KEYS } from '../support/model.js';
import { INDEX, SHARDS, digestsOf, writeModelFolder } from '../support/model-folder.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const source = writeModelFolder(join(folder, 'plain'));
let made = 0;

async function encrypted(options: EncryptModelOptions = {}, from = source): Promise<string> {
  const target = join(folder, `encrypted-${made++}`);
  await encryptModel(from, target, { keys: KEYS, chunkSize: 4096, ...options });
  return target;
}

describe('encryptModel', () => {
  it('makes a folder that decrypts to the source, byte for byte, index and side files included', async () => {
    const target = await encrypted();
    const back = join(folder, 'back');
    await decryptModel(target, back, { keys: KEYS });
    expect(digestsOf(back)).toEqual(digestsOf(source));
  });

  it('says what it does with each file, and does nothing else in a dry run', async () => {
    const target = join(folder, 'dry');
    const described = await encryptModel(source, target, { keys: KEYS, dryRun: true });
    expect(existsSync(target)).toBe(false);
    expect(described).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown,
      weights: SHARDS,
      index: INDEX,
      sealed: ['empty.bin', 'onnx/model.onnx'],
      plain: ['README.md', 'config.json', 'tokenizer/vocab.txt'],
      left: [],
    });
  });

  it('leaves no plaintext of what it encrypts or seals', async () => {
    const target = await encrypted();
    const onnx = readFileSync(join(source, 'onnx/model.onnx')).subarray(1000, 1064);
    for (const name of Object.keys(digestsOf(target))) {
      expect(readFileSync(join(target, name)).includes(onnx), name).toBe(false);
    }
    expect(existsSync(join(target, 'onnx/model.onnx'))).toBe(false);
  });

  it('makes a model whose tensors and files are read from its folder, blocking and awaiting', async () => {
    const target = await encrypted();
    const plain = await safeOpen(join(source, INDEX));
    await using model = await safeOpen(target, { keys: KEYS });
    using again = safeOpenSync(join(target, INDEX), { keys: KEYS });
    expect(model.keys()).toEqual(plain.keys());
    for (const name of plain.keys()) {
      const { data } = await plain.getTensor(name);
      expect((await model.getTensor(name)).data).toEqual(data);
      expect(again.getTensorSync(name).data).toEqual(data);
    }
    expect(model.files()).toEqual(['README.md', 'config.json', 'empty.bin', 'onnx/model.onnx', 'tokenizer/vocab.txt']);
    for (const path of model.files()) {
      const bytes = Uint8Array.from(readFileSync(join(source, path)));
      expect(await model.getFile(path).bytes(), path).toEqual(bytes);
      expect(again.getFile(path).bytesSync(), path).toEqual(bytes);
      expect(await joined(model.getFile(path).stream()), path).toEqual(bytes);
    }
    await plain.close();
  });

  it('lets parts of a sealed file be read, and refuses ranges that are none', async () => {
    await using model = await safeOpen(await encrypted(), { keys: KEYS });
    const bytes = Uint8Array.from(readFileSync(join(source, 'onnx/model.onnx')));
    const file = model.getFile('onnx/model.onnx');
    for (const [begin, end] of [[0, 1], [4095, 4097], [0, 0], [69_999, 70_000], [69_990, 90_000], [80_000, 90_000], [4096, 8192]] as const) {
      expect(await file.read(begin, end), `${begin} to ${end}`).toEqual(bytes.subarray(begin, end));
      expect(file.readSync(begin, end)).toEqual(bytes.subarray(begin, end));
    }
    for (const [begin, end] of [[-1, 2], [2, 1], [0.5, 1], [NaN, 1], [0, NaN]] as const) {
      await refusal('SliceOutOfRange', () => file.read(begin, end));
    }
    expect(await model.getFile('config.json').text()).toContain('hidden_size');
  }); // prettier-ignore

  it.each(['config.json', 'onnx/model.onnx'])(
    'does not read %s once a signal has fired or the model is closed',
    async (name) => {
      const model = await safeOpen(await encrypted(), { keys: KEYS });
      const file = model.getFile(name);
      const signal = AbortSignal.abort(new Error('enough'));
      await expect(file.bytes({ signal })).rejects.toMatchObject({ code: 'ABORT_ERR' });
      expect(() => file.readSync(0, 1, { signal })).toThrow(expect.objectContaining({ code: 'ABORT_ERR' }) as Error);
      await model.close();
      await refusal('Closed', () => file.bytes());
    },
  );

  it('binds all files of the model to one another', async () => {
    const target = await encrypted({ id: '00000000-0000-4000-8000-000000000001' });
    const identities = await Promise.all(
      [...SHARDS, 'onnx/model.onnx.sealed'].map(async (name) => {
        using file = await safeOpen(join(target, name), { keys: KEYS });
        return file.identity();
      }),
    );
    expect(identities[0]).toMatchObject({ id: '00000000-0000-4000-8000-000000000001', generation: 1 });
    expect(new Set(identities.map((identity) => JSON.stringify(identity))).size).toBe(1);
  });

  it('encrypts a file by itself to a file, which may be renamed', async () => {
    const plain = join(folder, 'single.safetensors');
    saveFileSync({ w: { shape: [3], data: Float32Array.of(1, 2, 3) } }, plain);
    const target = join(folder, 'single.ct.safetensors');
    expect(await encryptModel(plain, target, { keys: KEYS })).toMatchObject({
      weights: ['single.ct.safetensors'],
      sealed: [],
    });
    const renamed = join(folder, 'renamed.safetensors');
    linkSync(target, renamed);
    using model = await safeOpen(renamed, { keys: KEYS });
    expect((await model.getTensor('w')).data).toEqual(Float32Array.of(1, 2, 3));
    expect(model.files()).toEqual([]);
  });

  it('takes files along as it is told by globs', async () => {
    const { sealed, plain, left } = await encryptModel(source, join(folder, 'chosen'), {
      keys: KEYS,
      files: { seal: ['*.json', 'tokenizer/**'], plain: 'empty.bin', leave: ['README.md'] },
    });
    expect({ sealed, plain, left }).toEqual({
      sealed: ['config.json', 'onnx/model.onnx', 'tokenizer/vocab.txt'],
      plain: ['empty.bin'],
      left: [{ name: 'README.md', reason: 'you said so' }],
    });
    await refusal('InvalidOption', () =>
      encryptModel(source, join(folder, 'never'), { keys: KEYS, files: { seal: '*.gguf' } }),
    );
  });

  it('follows links to files, as caches are made of them, and leaves hidden files and links to folders behind', async () => {
    const cache = join(folder, 'cache');
    mkdirSync(cache);
    for (const name of [...SHARDS, INDEX, 'config.json']) symlinkSync(join(source, name), join(cache, name));
    symlinkSync(join(source, 'onnx'), join(cache, 'onnx'));
    writeFileSync(join(cache, '.secret'), 'x');
    const target = join(folder, 'from-cache');
    const { plain, left } = await encryptModel(cache, target, { keys: KEYS });
    expect(plain).toEqual(['config.json']);
    expect(left).toEqual([
      { name: '.secret', reason: 'its name is hidden' },
      { name: 'onnx', reason: 'it is a link to a folder' },
    ]);
    expect(readdirSync(target).sort()).toEqual([INDEX, ...SHARDS, 'config.json'].sort());
  });

  it('chooses tensors over the whole model: a pattern need not fit a tensor of each shard', async () => {
    const target = await encrypted({ tensors: 'layer.1.*' });
    const checks = await Promise.all(
      SHARDS.map(async (name) => (await inspectFile(join(target, name))).tensors.map(({ check }) => check)),
    );
    expect(checks).toEqual([['digest', 'digest'], ['tag', 'tag'], ['digest', 'digest']]); // prettier-ignore
    await refusal('InvalidOption', () => encrypted({ tensors: 'layer.9.*' }));
  });

  it('refuses a target that is there, and leaves it as it is', async () => {
    const target = join(folder, 'taken');
    mkdirSync(target);
    writeFileSync(join(target, 'file'), 'theirs');
    const error = await refusal('FileError', () => encryptModel(source, target, { keys: KEYS }));
    expect(error.systemCode).toBe('EEXIST');
    expect(readdirSync(target)).toEqual(['file']);
  });

  it('leaves nothing behind when it is aborted or fails', async () => {
    const parent = join(folder, 'aborted');
    mkdirSync(parent);
    const controller = new AbortController();
    const onProgress = (): void => controller.abort();
    await expect(
      encryptModel(source, join(parent, 'target'), { keys: KEYS, signal: controller.signal, onProgress }),
    ).rejects.toMatchObject({ code: 'ABORT_ERR' });
    expect(readdirSync(parent)).toEqual([]);
  });

  it('reports one count of bytes, which never falls and ends at the total', async () => {
    const reports: [number, number][] = [];
    await encrypted({ onProgress: (done, total) => reports.push([done, total]) });
    const total = reports.at(-1)![1];
    expect(reports.at(-1)).toEqual([total, total]);
    expect(
      reports.every(([done, of], i) => of === total && done <= total && (i === 0 || done > reports[i - 1]![0])),
    ).toBe(true);
  });

  it('gives the new folder the permissions of any new folder, and takes care of it until then', async () => {
    const other = join(folder, 'any');
    mkdirSync(other);
    expect(statSync(await encrypted()).mode).toBe(statSync(other).mode);
  });

  it.each([
    ['a tensor that the index does not list', (index: Index) => delete index.weight_map['layer.0.bias']],
    ['a tensor in another file', (index: Index) => (index.weight_map['layer.0.bias'] = SHARDS[1]!)],
    ['a tensor that no shard holds', (index: Index) => (index.weight_map.more = SHARDS[1]!)],
  ])('refuses an index with %s, before anything is encrypted', async (_, change) => {
    const bad = writeModelFolder(join(folder, `bad-index-${made++}`));
    const index = JSON.parse(readFileSync(join(bad, INDEX), 'utf8')) as Index;
    change(index);
    writeFileSync(join(bad, INDEX), JSON.stringify(index));
    const error = await refusal('InvalidIndex', () => encrypted({}, bad));
    expect(error.path).toBe(join(bad, INDEX));
  });

  it('refuses a folder without a model, one with several, and one that is encrypted already', async () => {
    const empty = join(folder, 'empty');
    mkdirSync(empty);
    await refusal('FileError', () => encrypted({}, empty));
    const several = writeModelFolder(join(folder, 'several'));
    saveFileSync({ w: { shape: [1], data: Float32Array.of(1) } }, join(several, 'adapter.safetensors'));
    const error = await refusal('InvalidOption', () => encrypted({}, several));
    expect(error.message).toContain(`"adapter.safetensors", "${INDEX}"`);
    const target = await encrypted({ weights: INDEX }, several);
    using model = await safeOpen(target, { keys: KEYS });
    expect(model.files()).toContain('adapter.safetensors');
    await refusal('InvalidOption', () => encrypted({}, target));
  });

  it('is verified wholly, and told what does not belong to it', async () => {
    const target = await encrypted();
    writeFileSync(join(target, 'more.txt'), 'x');
    const { files, unlisted, tensors } = await verifyFile(target, { keys: KEYS });
    expect({ files, unlisted, tensors }).toEqual({
      files: ['README.md', 'config.json', 'empty.bin', 'onnx/model.onnx', 'tokenizer/vocab.txt'],
      unlisted: ['more.txt'],
      tensors: 6,
    });
  });
});

async function joined(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Uint8Array.from(Buffer.concat(pieces));
}

interface Index {
  weight_map: Record<string, string>;
}

describe('a shard that was opened by itself', () => {
  it('is read as any file, but says that its folder must be opened for what lies beside it', async () => {
    using shard = await safeOpen(join(await encrypted(), SHARDS[1]!), { keys: KEYS });
    expect(shard.keys()).toEqual(['layer.1.bias', 'layer.1.weight']);
    await refusal('InvalidOption', () => shard.files());
  });

  it('opens as ever without an identity, as encryptFile writes it', async () => {
    const target = join(folder, 'without.safetensors');
    await encryptFile(join(source, SHARDS[0]!), target, { keys: KEYS });
    using shard = await safeOpen(target, { keys: KEYS });
    expect(shard.identity()).toBeNull();
    expect(shard.files()).toEqual([]);
  });
});
