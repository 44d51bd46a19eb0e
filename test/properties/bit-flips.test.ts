import { CryptoTensorsError, loadKeysSync, loadSync, safeOpenSync, saveSync } from 'cryptotensors';
import type { SaveOptions, TensorLike } from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { KEYS } from '../support/model.js';

const keys = loadKeysSync(KEYS);
const tensors = new Map<string, TensorLike>([
  ['encoder.weight', { dtype: 'F32', shape: [2, 9], data: Float32Array.from({ length: 18 }, (_, i) => i / 7) }],
  ['encoder.empty', { dtype: 'I16', shape: [0, 3], data: new Int16Array(0) }],
  ['encoder.bias', { dtype: 'U8', shape: [33], data: Uint8Array.from({ length: 33 }, (_, i) => i * 7) }],
  ['plain', { dtype: 'U8', shape: [21], data: Uint8Array.from({ length: 21 }, (_, i) => 255 - i) }],
]);
/** With characters whose escapes have more than one spelling: those flips change the text and not what it says. */
const metadata = { format: 'pt', note: 'a\u001fb/c "d"\u000b' };

const files: { title: string; options: SaveOptions; covered: boolean }[] = [
  { title: 'version 1, the plain tensor without a digest', options: { version: 1, integrity: false }, covered: false },
  { title: 'version 1, the plain tensor with a digest', options: { version: 1, integrity: 'sha256' }, covered: true },
  {
    title: 'version 2, the plain tensor without a digest',
    options: { version: 2, chunkSize: 16, integrity: false },
    covered: false,
  },
  {
    title: 'version 2, the plain tensor with a digest',
    options: { version: 2, chunkSize: 16, integrity: 'blake3' },
    covered: true,
  },
];

/** All that is authenticated of a file, as one comparable text: the header's facts and the covered tensors' bytes. */
function authenticated(bytes: Uint8Array, covered: boolean): string {
  using file = safeOpenSync(bytes, { keys });
  const read = file.getTensorsSync();
  return JSON.stringify([
    file.encrypted,
    file.signers(),
    Object.entries(file.metadata() ?? {}),
    file.offsetKeys().map((name) => {
      const { dtype, exactShape, dataOffsets, check } = file.info(name);
      const data = check === 'none' && !covered ? null : Buffer.from(read.get(name)!.bytes).toString('base64');
      return [name, dtype, exactShape, dataOffsets, check, data];
    }),
  ]);
}

describe.each(files)('every single-bit flip: $title', ({ options, covered }) => {
  it('is refused, or changes nothing that was authenticated', () => {
    const original = saveSync(tensors, { keys, metadata, tensors: 'encoder.*', ...options });
    const facts = authenticated(original, covered);
    const headerEnd = 8 + Number(new DataView(original.buffer, original.byteOffset).getBigUint64(0, true));
    const bytes = original.slice();
    const accepted: number[] = [];
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        bytes[at] = original[at]! ^ (1 << bit);
        if (accepts(bytes, at * 8 + bit)) {
          accepted.push(at);
          expect(authenticated(bytes, covered), `bit ${bit} of byte ${at}`).toBe(facts);
        }
      }
      bytes[at] = original[at]!;
    }
    // What may change: the plain tensor that nothing covers, bit by bit, and the case of a letter in an escape.
    const inData = accepted.filter((at) => at >= headerEnd).length;
    expect(inData).toBe(covered ? 0 : 21 * 8);
    expect(accepted.length - inData).toBeLessThan(8);
  });
});

/** Whether the whole file is read; a refusal must be a typed one. */
function accepts(bytes: Uint8Array, flip: number): boolean {
  try {
    loadSync(bytes, { keys });
    return true;
  } catch (error) {
    if (error instanceof CryptoTensorsError) return false;
    throw new Error(`flipping bit ${flip} gave an untyped error`, { cause: error });
  }
}
