/**
 * What the compiler is told: checked by `tsc -p test/tsconfig.json`, never run. Each `@ts-expect-error` is an error itself where the
 * line below it compiles.
 */
import { load, loadFile, loadFileSync, safeOpen, save, saveFile, safeOpenSync, verifyFileSync } from 'cryptotensors';
import type {
  CryptoTensorsError,
  Dtype,
  ErrorCode,
  KeyProvider,
  OpenOptions,
  SaveOptions,
  Tensor,
  TensorData,
  TensorLike,
  TensorsInput,
} from 'cryptotensors';

/* eslint-disable @typescript-eslint/no-meaningless-void-operator -- nothing here is run */

/** Fails to compile unless both are the same type. */
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- that is how types are compared
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(answer: Same<A, B>): void;

export async function tensorsAreNarrowedByTheirDtype(tensor: Tensor): Promise<void> {
  if (tensor.dtype === 'F32') {
    same<typeof tensor.data, Float32Array>(true);
    same<typeof tensor.dtype, 'F32'>(true);
    // @ts-expect-error -- 32-bit floats are no bigints
    void (tensor.data satisfies BigInt64Array);
  } else {
    // @ts-expect-error -- what is not F32 may be anything else
    void (tensor.data satisfies Float32Array);
  }
  switch (tensor.dtype) {
    case 'I64':
      same<typeof tensor.data, BigInt64Array>(true);
      break;
    case 'F16':
    case 'BF16':
      same<typeof tensor.data, Uint16Array>(true);
      break;
    case 'C64':
      same<typeof tensor.data, Float32Array>(true);
      break;
    case 'BOOL':
      same<typeof tensor.data, Uint8Array>(true);
      break;
  }
  const read = await loadFile('model.safetensors');
  const one = read.get('weight');
  // @ts-expect-error -- it may not be there
  void one.data;
  if (one?.dtype === 'F64') same<typeof one.data, Float64Array>(true);
  // @ts-expect-error -- no such dtype
  if (one?.dtype === 'F128') return;
  // @ts-expect-error -- what it is, it stays
  tensor.shape[0] = 1;
  // @ts-expect-error -- likewise
  tensor.name = 'other';
}

same<TensorData<'U64'>, BigUint64Array>(true);
same<TensorData<'F8_E4M3'>, Uint8Array>(true);
export const everyDtypeHasData: Record<Dtype, ArrayBufferView> = {} as { [D in Dtype]: TensorData<D> };

const data = Float32Array.of(1);
export const fits: TensorLike[] = [
  { shape: [1], data },
  { dtype: 'F32', shape: [1], data },
  { dtype: 'BF16', shape: [1], data: Uint16Array.of(1) },
  { dtype: 'F32', shape: [1], data: new ArrayBuffer(4) },
  { dtype: 'F32', shape: [1], data: new SharedArrayBuffer(4) },
  { dtype: 'F32', shape: [1], data: new DataView(new ArrayBuffer(4)) },
];
export function aTensorIsTensorLike(tensor: Tensor, narrowed: Tensor<'F32'>, all: Map<string, Tensor>): TensorsInput {
  void ({ tensor, narrowed } satisfies TensorsInput);
  return all;
}
// @ts-expect-error -- without a shape
export const shapeless: TensorLike = { data };
// @ts-expect-error -- without data
export const dataless: TensorLike = { shape: [1] };
// @ts-expect-error -- a list of numbers is no memory
export const list: TensorLike = { shape: [1], data: [1] };
// @ts-expect-error -- no dtype of safetensors
export const dtype: TensorLike = { dtype: 'float32', shape: [1], data };
// @ts-expect-error -- dimensions are numbers
export const big: TensorLike = { shape: [1n], data };

export async function tensorsAreAwaited(): Promise<void> {
  // @ts-expect-error -- a promise of tensors is none
  await saveFile(loadFile('model.safetensors'), 'copy.safetensors');
  // @ts-expect-error -- nor is an array
  await save([{ shape: [1], data }]);
  // @ts-expect-error -- nor is a model that is open
  await save(await safeOpen('model.safetensors'));
  await saveFile(loadFileSync('model.safetensors'), 'copy.safetensors');
}

export const opening: OpenOptions = { keys: 'keys.json', trust: [{ kty: 'OKP' }], claims: { a: [1, null] } };
// @ts-expect-error -- a misspelt name
export const misspelt: OpenOptions = { trusted: 'keys.json' };
// @ts-expect-error -- threads are a number
export const threads: OpenOptions = { threads: '4' };
// @ts-expect-error -- no algorithm
export const algorithm: SaveOptions = { keys: 'keys.json', algorithm: 'aes128cbc' };

export const provider: KeyProvider = { name: 'mine', find: () => Promise.resolve(null) };
export const blocking: KeyProvider = { name: 'mine', findSync: () => ({ kty: 'oct', k: 'AAAA' }) };
// @ts-expect-error -- without a name
export const nameless: KeyProvider = { find: () => Promise.resolve(null) };
// @ts-expect-error -- a blocking form gives no promise
export const confused: KeyProvider = { name: 'mine', findSync: () => Promise.resolve(null) };

// @ts-expect-error -- what is opened must be said
void (() => safeOpen());
// @ts-expect-error -- a model is given as a path, a URL or bytes
void (() => safeOpenSync({ path: 'model.safetensors' }));
// @ts-expect-error -- a path is read by loadFile
void (() => load('model.safetensors'));
// @ts-expect-error -- the blocking form gives no promise
void (() => verifyFileSync('model.safetensors') satisfies Promise<unknown>);

export function errorsHaveCodes(error: CryptoTensorsError): ErrorCode {
  // @ts-expect-error -- no code
  if (error.code === 'BadSignatur') return error.code;
  // @ts-expect-error -- there may be no path
  void error.path.length;
  return error.code;
}
