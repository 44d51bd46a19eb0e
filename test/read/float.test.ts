import { describe, expect, test } from 'vitest';
import { toFloat32 } from '#dist/read/float.js';

describe('toFloat32', () => {
  test.each([
    ['F16', 0x3c00, 1],
    ['F16', 0xc000, -2],
    ['F16', 0x7bff, 65504],
    ['F16', 0x0001, 2 ** -24],
    ['F16', 0x7c00, Infinity],
    ['F16', 0xfc00, -Infinity],
    ['F16', 0x7e00, NaN],
    ['F16', 0x8000, -0],
    ['BF16', 0x3f80, 1],
    ['BF16', 0xff80, -Infinity],
    ['BF16', 0x7fc0, NaN],
    ['BF16', 0x0001, 2 ** -133],
    // OCP 8-bit floating point specification, table 1.
    ['F8_E4M3', 0x7e, 448],
    ['F8_E4M3', 0x7f, NaN],
    ['F8_E4M3', 0x08, 2 ** -6],
    ['F8_E4M3', 0x01, 2 ** -9],
    ['F8_E5M2', 0x7b, 57344],
    ['F8_E5M2', 0x7c, Infinity],
    ['F8_E5M2', 0x7d, NaN],
    ['F8_E5M2', 0x01, 2 ** -16],
    // FNUZ: no infinity, no -0, one NaN, bias one higher.
    ['F8_E4M3FNUZ', 0x7f, 240],
    ['F8_E4M3FNUZ', 0x80, NaN],
    ['F8_E4M3FNUZ', 0x01, 2 ** -10],
    ['F8_E5M2FNUZ', 0x7f, 57344],
    ['F8_E5M2FNUZ', 0x80, NaN],
    ['F8_E5M2FNUZ', 0x01, 2 ** -17],
    // OCP microscaling: a power of two.
    ['F8_E8M0', 127, 1],
    ['F8_E8M0', 0, 2 ** -127],
    ['F8_E8M0', 254, 2 ** 127],
    ['F8_E8M0', 255, NaN],
  ] as const)('%s 0x%s', (dtype, code, value) => {
    const data = dtype === 'F16' || dtype === 'BF16' ? Uint16Array.of(code) : Uint8Array.of(code);
    expect(toFloat32(dtype, data)).toEqual(Float32Array.of(value));
  });

  test('F16 codes are ordered like their values, and the sign bit negates', () => {
    const values = toFloat32(
      'F16',
      Uint16Array.from({ length: 65536 }, (_, code) => code),
    )!;
    const unordered = values.slice(0, 0x7c00).filter((value, code) => !(values[code + 1]! > value));
    expect(unordered).toEqual(new Float32Array(0));
    expect(values.slice(32768)).toEqual(values.slice(0, 32768).map((value) => -value));
  });

  test('is undefined for what is not a narrow float', () => {
    expect(toFloat32('I16', Uint16Array.of(1))).toBeUndefined();
    expect(toFloat32('F4', Uint8Array.of(1))).toBeUndefined();
  });
});
