import { getEngine } from '#dist/engine/load.js';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import { AEAD_KEY_BYTES } from '#dist/format/vocabulary.js';
import { expect, it } from 'vitest';
import { describeDeks } from '../engine/deks.js';
import { ALGORITHMS } from './sealed-file.js';

const node = createNodeEngine();

describeDeks(node);

it.each(ALGORITHMS)('both engines unwrap what the other wrapped: %s', (algorithm) => {
  const native = getEngine();
  expect(native.name).toBe('native');
  const keyBytes = AEAD_KEY_BYTES[algorithm];
  const key = node.exportSecret(node.randomSecret(keyBytes));
  const deks = node.exportSecret(node.randomSecret(100 * keyBytes));
  for (const [ours, theirs] of [
    [node, native],
    [native, node],
  ] as const) {
    const rows = ours.wrapDeks(algorithm, ours.importSecret(key), ours.importSecret(deks));
    const opened = theirs.unwrapDeks(algorithm, theirs.importSecret(key), rows);
    if ('row' in opened) expect.fail(`row ${opened.row}`);
    expect(Buffer.compare(theirs.exportSecret(opened.deks), deks)).toBe(0);
    rows[70 * (keyBytes + 28) + 3]! ^= 1;
    expect(theirs.unwrapDeks(algorithm, theirs.importSecret(key), rows)).toEqual({ row: 70 });
  }
});
