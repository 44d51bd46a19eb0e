/** What `onProgress` is told of a rewrap: one count for the whole call, whatever steps it has. */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { generateKeys, rewrapFile, saveFileSync } from 'cryptotensors';
import type { RewrapOptions } from 'cryptotensors';
import { expect, test } from 'vitest';
import { smallTensors, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const parent = temporaryFolder();
const OLD = generateKeys();
const NEW = generateKeys();

/** Two shards with room for other headers. */
function shards(): string {
  const folder = mkdtempSync(join(parent, 'case-'));
  const weightMap: Record<string, string> = {};
  for (const shard of ['a', 'b']) {
    const tensors = [...smallTensors()].map(([name, tensor]) => [`${shard}.${name}`, tensor] as const);
    saveFileSync(Object.fromEntries(tensors), join(folder, `${shard}.safetensors`), { keys: OLD, chunkSize: 64 });
    for (const [name] of tensors) weightMap[name] = `${shard}.safetensors`;
  }
  const index = join(folder, 'model.safetensors.index.json');
  writeShardIndex(index, weightMap);
  return index;
}

const LONG = { local: `package model\n# ${'x'.repeat(100_000)}\nallow := true` };

test.each<[string, Partial<RewrapOptions>]>([
  ['in place, after a verification', { verify: true }],
  ['into files written anew, for the headers have no room', { to: { keys: NEW, policy: LONG } }],
  ['into files written anew, after a verification', { verify: true, to: { keys: NEW, policy: LONG } }],
])('%s', async (_, options) => {
  const calls: [number, number][] = [];
  const onProgress = (done: number, total: number): void => void calls.push([done, total]);
  await rewrapFile(shards(), { keys: OLD, to: { keys: NEW }, ...options, onProgress });
  expect(calls.length).toBeGreaterThan(0);
  expect(new Set(calls.map(([, total]) => total)).size).toBe(1);
  expect(calls.map(([done]) => done)).toEqual(calls.map(([done]) => done).sort((a, b) => a - b));
  expect(calls.at(-1)![0]).toBe(calls.at(-1)![1]);
});
