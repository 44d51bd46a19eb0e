import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { AeadAlgorithm, Dtype, TensorLike } from 'cryptotensors';
import type { Jwk, WireTensor } from './reference.js';

/** The test keys, in the form that both sides read. */
export const KEYS_FILE = fileURLToPath(new URL('../vectors/keys.json', import.meta.url));
export const KEYS: readonly Jwk[] = (JSON.parse(readFileSync(KEYS_FILE, 'utf8')) as { keys: Jwk[] }).keys;

export const ALGORITHMS = ['aes128gcm', 'aes256gcm', 'chacha20poly1305'] as const satisfies AeadAlgorithm[];
export const MASTER_KIDS: Record<AeadAlgorithm, string> = {
  aes128gcm: 'enc-128',
  aes256gcm: 'enc-256',
  chacha20poly1305: 'enc-chacha',
};
export const SIGNER_KID = 'sign-a';

export function keyOf(kid: string): Jwk {
  const key = KEYS.find((jwk) => jwk.kid === kid);
  if (key === undefined) throw new Error(`no test key ${kid}`);
  return key;
}

/** A tensor with its bytes at hand. */
export interface Sample extends TensorLike {
  name: string;
  dtype: Dtype;
  shape: number[];
  data: Uint8Array;
}

/** Bits per element of the dtypes that the reference knows (safetensors 0.7: without the two FNUZ). */
const BITS = {
  BOOL: 8, F4: 4, F6_E2M3: 6, F6_E3M2: 6, U8: 8, I8: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, I16: 16, U16: 16, F16: 16,
  BF16: 16, I32: 32, U32: 32, F32: 32, C64: 64, F64: 64, I64: 64, U64: 64,
} as const satisfies Partial<Record<Dtype, number>>; // prettier-ignore
type KnownDtype = keyof typeof BITS;

/** The dtypes that NumPy has. */
export const NUMPY_DTYPES: readonly KnownDtype[] = [
  'BOOL', 'U8', 'I8', 'I16', 'U16', 'F16', 'I32', 'U32', 'F32', 'C64', 'F64', 'I64', 'U64',
]; // prettier-ignore
/** Those that the Python packages write at the level below NumPy. They read F6 but have no name to write it by. */
export const RAW_DTYPES: readonly KnownDtype[] = [...NUMPY_DTYPES, 'F4', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0', 'BF16'];
export const ALL_DTYPES = Object.keys(BITS) as KnownDtype[];

/** Bytes that look random and are the same in every run. BOOL has no other values than 0 and 1. */
export function bytesFor(name: string, dtype: Dtype, length: number): Uint8Array {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, i) =>
    createHash('sha256').update(`${name} ${i}`).digest(),
  );
  const bytes = new Uint8Array(Buffer.concat(blocks).subarray(0, length));
  return dtype === 'BOOL' ? bytes.map((byte) => byte & 1) : bytes;
}

export function sample(name: string, dtype: KnownDtype, shape: number[]): Sample {
  const length = (shape.reduce((product, n) => product * n, 1) * BITS[dtype]) / 8;
  return { name, dtype, shape, data: bytesFor(name, dtype, length) };
}

/** Bytes of each tensor of `samples`: a multiple of every width, and of three rows of it. */
export const SAMPLE_BYTES = 240;

/** One tensor of `SAMPLE_BYTES` per dtype, a scalar, an odd one, and two empty ones (not side by side: see FORMAT.md §2). */
export function samples(dtypes: readonly KnownDtype[]): Sample[] {
  return [
    ...dtypes.map((dtype) => sample(`layer.${dtype}`, dtype, [5, (SAMPLE_BYTES * 8) / BITS[dtype] / 5])),
    sample('scalar', 'F32', []),
    sample('odd', 'U8', [7, 11, 3]),
    sample('empty.first', 'I64', [0, 4]),
    sample('empty.second', 'I16', [3, 0, 2]),
  ];
}

export function withoutEmpty(tensors: readonly Sample[]): Sample[] {
  return tensors.filter(({ data }) => data.length > 0);
}

/** As `saveFile` takes them. */
export function input(tensors: readonly Sample[]): Map<string, Sample> {
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

export function wire({ name, dtype, shape, data }: Sample): WireTensor {
  return { name, dtype, shape, data: Buffer.from(data).toString('base64') };
}

/** Names that break a careless reader: escapes, integers, prototypes, and an order that differs between UTF-8 and UTF-16. */
export const ODD_NAMES = [
  '10',
  '9',
  '__proto__',
  'constructor',
  '',
  'a"b\\c/d',
  '\u0000\b\f\n\r\t\u001f\u007f',
  'ｆｕｌｌ',
  '🦊',
  'é',
  'e\u0301',
  '\u2028',
];

export const ODD_METADATA: Record<string, string> = {
  format: 'pt',
  'quotes " and \\ and /': '"\\/\b\f\n\r\t',
  '': 'an empty key',
  empty: '',
  control: '\u0000\u0001\u001f\u007f\u0080',
  'unicode ｆ 🦊': 'zwölf Boxkämpfer 漢字 🦊 \u2028\u2029\ufffe\uffff',
  json: '{"a":[1,2,{"b":null}]}',
  '10': 'ten',
  '9': 'nine',
};
