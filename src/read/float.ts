import type { Dtype } from '../format/dtype.js';

/**
 * Conversion of the narrow floating-point dtypes to 32-bit floats. All of them are exact: every value of these formats is
 * a 32-bit float.
 */

/** An 8- or 16-bit floating-point format, by its fields. */
interface MiniFloat {
  exponentBits: number;
  mantissaBits: number;
  bias: number;
  /** `ieee`: the top exponent is infinity and NaN. `fn`: all ones is NaN, no infinity. `fnuz`: the code of -0 is NaN. */
  special: 'ieee' | 'fn' | 'fnuz';
}

/** The OCP 8-bit formats, their FNUZ relatives (as in ONNX) and IEEE 754 binary16. */
const FORMATS: Partial<Record<Dtype, MiniFloat>> = {
  F16: { exponentBits: 5, mantissaBits: 10, bias: 15, special: 'ieee' },
  F8_E5M2: { exponentBits: 5, mantissaBits: 2, bias: 15, special: 'ieee' },
  F8_E4M3: { exponentBits: 4, mantissaBits: 3, bias: 7, special: 'fn' },
  F8_E4M3FNUZ: { exponentBits: 4, mantissaBits: 3, bias: 8, special: 'fnuz' },
  F8_E5M2FNUZ: { exponentBits: 5, mantissaBits: 2, bias: 16, special: 'fnuz' },
};

function decode(code: number, format: MiniFloat): number {
  const { exponentBits, mantissaBits, bias, special } = format;
  const signBit = 1 << (exponentBits + mantissaBits);
  const magnitude = code & (signBit - 1);
  const negative = (code & signBit) !== 0;
  if (special === 'fnuz' && negative && magnitude === 0) return NaN;
  if (special === 'fn' && magnitude === signBit - 1) return NaN;
  const exponent = magnitude >> mantissaBits;
  const mantissa = magnitude & ((1 << mantissaBits) - 1);
  let value: number;
  if (special === 'ieee' && exponent === (1 << exponentBits) - 1) {
    value = mantissa === 0 ? Infinity : NaN;
  } else if (exponent === 0) {
    value = mantissa * 2 ** (1 - bias - mantissaBits);
  } else {
    value = (1 + mantissa * 2 ** -mantissaBits) * 2 ** (exponent - bias);
  }
  return negative ? -value : value;
}

const tables = new Map<Dtype, Float32Array>();

/** All values of a narrow dtype by code, made on first use (256 entries, or 65,536 for F16). */
function tableOf(dtype: Dtype): Float32Array | undefined {
  let table = tables.get(dtype);
  if (table === undefined) {
    const format = FORMATS[dtype];
    if (format !== undefined) {
      table = Float32Array.from({ length: 2 ** (1 + format.exponentBits + format.mantissaBits) }, (_, code) =>
        decode(code, format),
      );
    } else if (dtype === 'F8_E8M0') {
      table = Float32Array.from({ length: 256 }, (_, code) => (code === 255 ? NaN : 2 ** (code - 127)));
    } else {
      return undefined;
    }
    tables.set(dtype, table);
  }
  return table;
}

/** The dtypes that `toFloat32` converts. */
export const FLOAT32_CONVERTIBLE: readonly Dtype[] = [
  'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ',
]; // prettier-ignore

/**
 * The elements of `data` (as `Tensor.data` gives them) as 32-bit floats, or undefined if the dtype is not a narrow float.
 */
export function toFloat32(dtype: Dtype, data: Uint8Array | Uint16Array): Float32Array | undefined {
  const result = new Float32Array(data.length);
  if (dtype === 'BF16') {
    // A BF16 is the upper half of a 32-bit float.
    const bits = new Uint32Array(result.buffer);
    for (let i = 0; i < data.length; i++) bits[i] = data[i]! << 16;
    return result;
  }
  const table = tableOf(dtype);
  if (table === undefined) return undefined;
  for (let i = 0; i < data.length; i++) result[i] = table[data[i]!]!;
  return result;
}
