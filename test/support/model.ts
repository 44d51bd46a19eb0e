import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { saveFileSync } from 'cryptotensors';
import type { SaveOptions, TensorLike } from 'cryptotensors';

/** Test keys of `test/vectors`: one 256-bit master key, one signing key. */
export const KEYS = new URL('../vectors/keys-one-aes256gcm.json', import.meta.url);

/** A small model with something of everything: scalars, empty tensors, several dtypes, more than one chunk. */
export function smallTensors(): Map<string, TensorLike> {
  return new Map<string, TensorLike>([
    ['encoder.weight', { dtype: 'F32', shape: [8, 16], data: Float32Array.from({ length: 128 }, (_, i) => i / 3) }],
    ['encoder.bias', { dtype: 'F32', shape: [16], data: Float32Array.from({ length: 16 }, (_, i) => -i) }],
    ['position', { dtype: 'I64', shape: [1, 5], data: BigInt64Array.of(0n, -1n, 2n, 2n ** 62n, -(2n ** 63n)) }],
    ['scale', { dtype: 'F16', shape: [], data: Uint16Array.of(0x3c00) }],
    ['empty', { dtype: 'BF16', shape: [0, 7], data: new Uint16Array(0) }],
    ['mask', { dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) }],
  ]);
}

/** Saves the small model, encrypted in chunks of 64 bytes unless said otherwise; returns its path. */
export function saveSmallModel(folder: string, name: string, options: SaveOptions = {}): string {
  const path = join(folder, name);
  saveFileSync(smallTensors(), path, { keys: KEYS, chunkSize: 64, ...options });
  return path;
}

/** Writes a shard index for the given files. */
export function writeShardIndex(path: string, weightMap: Record<string, unknown>): void {
  writeFileSync(path, JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap }));
}

/** The bytes of a typed array. */
export function bytesOf(data: ArrayBufferView | ArrayBufferLike): Uint8Array {
  return ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    : new Uint8Array(data);
}
