import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { saveFileSync } from 'cryptotensors';
import { sha256 } from './sha256.js';

/** Tensors per shard of `writeModelFolder`. */
export const SHARDS = ['model-00001-of-00003.safetensors', 'model-00002-of-00003.safetensors', 'model-00003-of-00003.safetensors']; // prettier-ignore
export const INDEX = 'model.safetensors.index.json';

/** A plain model as Hugging Face lays it out: three shards and their index, text, and files of other formats. */
export function writeModelFolder(folder: string, seed = 0): string {
  const weightMap: Record<string, string> = {};
  mkdirSync(folder, { recursive: true });
  for (const [i, shard] of SHARDS.entries()) {
    const tensors = Object.fromEntries(
      ['weight', 'bias'].map((kind, k) => [
        `layer.${i}.${kind}`,
        { shape: [64, 8], data: Float32Array.from({ length: 512 }, (_, n) => seed + i * 1000 + k * 100 + n / 7) },
      ]),
    );
    saveFileSync(tensors, join(folder, shard), { metadata: { format: 'pt' } });
    for (const name of Object.keys(tensors)) weightMap[name] = shard;
  }
  const files: Record<string, string | Uint8Array> = {
    [INDEX]: `${JSON.stringify({ metadata: { total_size: 12288 }, weight_map: weightMap }, null, 2)}\n`,
    'config.json': `{"hidden_size": 64, "seed": ${seed}}\n`,
    'README.md': '# A model\n',
    'tokenizer/vocab.txt': 'a\nb\n',
    'onnx/model.onnx': Uint8Array.from({ length: 70_000 }, (_, n) => n * 7 + seed),
    'empty.bin': '',
  };
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  }
  return folder;
}

/** The digest of each file in a folder and below, by its path from there. */
export function digestsOf(folder: string): Record<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    entries
      .map(({ parentPath, name }) => join(parentPath, name))
      .sort()
      .map((path) => [path.slice(folder.length + 1), sha256(readFileSync(path))]),
  );
}
