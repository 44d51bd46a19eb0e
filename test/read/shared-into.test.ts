import { expect, test } from 'vitest';
import { safeOpen } from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { KEYS, saveSmallModel } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const path = saveSmallModel(temporaryFolder(), 'shared.safetensors', {});

test('of two reads into one range of shared memory the second is refused; apart, and one after the other, both are done', async () => {
  await using file = await safeOpen(path, { keys: KEYS });
  const name = 'encoder.bias';
  const { byteLength } = await file.getTensor(name);
  const into = new SharedArrayBuffer(4 * byteLength);
  const first = file.getTensor(name, { into });
  const overlapping = new Uint8Array(into, byteLength - 8);
  await refusal('InvalidOption', () => file.getTensor(name, { into: overlapping }));
  const expected = await first;
  const both = await Promise.all(
    [0, 2].map((at) => file.getTensor(name, { into: new Uint8Array(into, at * byteLength) })),
  );
  for (const { bytes } of both) expect(bytes).toEqual((await file.getTensor(name)).bytes);
  expect(expected.bytes).toEqual(both[0]!.bytes);
  await file.getTensor(name, { into: overlapping });
});
