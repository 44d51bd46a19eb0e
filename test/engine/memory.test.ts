import { createRequire } from 'node:module';
import { getEngine } from '#dist/engine/load.js';
import { describe, expect, it } from 'vitest';
import { isZero } from './sealed-file.js';

const engine = getEngine();
const HUGE_PAGE = 2 ** 21;
const addon = createRequire(import.meta.url)('../../build/Release/cryptotensors.node') as {
  align(bytes: Uint8Array, alignment: number): number;
};

describe.each([false, true])('allocating, shared: %s', (shared) => {
  it.each([0, 1, 64, 4095, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1, 10_000_001])(
    '%i bytes, zeroed and aligned',
    (byteLength) => {
      const bytes = engine.allocate(byteLength, shared);
      expect(bytes.byteLength).toBe(byteLength);
      expect(isZero(bytes)).toBe(true);
      expect(bytes.buffer instanceof SharedArrayBuffer).toBe(shared);
      const alignment = byteLength < HUGE_PAGE ? 64 : HUGE_PAGE;
      // From an aligned address the next aligned one is right there.
      const rest = new Uint8Array(bytes.buffer, bytes.byteOffset);
      if (rest.byteLength >= alignment) expect(addon.align(rest, alignment)).toBe(0);
    },
  );

  it('refuses what no memory could hold', () => {
    expect(() => engine.allocate(2 ** 53 - 1, shared)).toThrow(
      expect.objectContaining({ code: 'OutOfMemory', expected: `${2 ** 53 - 1} bytes` }),
    );
  });
});

describe('allocating what will be filled', () => {
  it.each([0, 1, 64, 4095, HUGE_PAGE - 1, HUGE_PAGE, 10_000_001, 40_000_001])(
    '%i bytes, aligned, in a buffer that shows nothing of what was there before',
    (byteLength) => {
      // Whatever the allocator hands out again is not zero.
      for (let i = 0; i < 4; i++) Buffer.allocUnsafeSlow(byteLength + HUGE_PAGE).fill(0xaa);
      const bytes = engine.allocateUnsafe(byteLength);
      expect(bytes.byteLength).toBe(byteLength);
      expect(bytes.buffer).toBeInstanceOf(ArrayBuffer);
      const { buffer, byteOffset } = bytes;
      expect(isZero(new Uint8Array(buffer, 0, byteOffset))).toBe(true);
      expect(isZero(new Uint8Array(buffer, byteOffset + byteLength))).toBe(true);
      const rest = new Uint8Array(buffer, byteOffset);
      const alignment = byteLength < HUGE_PAGE ? 64 : HUGE_PAGE;
      if (rest.byteLength >= alignment) expect(addon.align(rest, alignment)).toBe(0);
    },
  );
});

it('wipes', () => {
  const bytes = new Uint8Array(100).fill(1);
  engine.wipe(bytes.subarray(10, 90));
  expect(isZero(bytes.subarray(10, 90))).toBe(true);
  expect([bytes[9], bytes[90]]).toEqual([1, 1]);
  engine.wipe(new Uint8Array(0));
});
