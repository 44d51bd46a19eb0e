import type { PolicyInput, PolicyTensor } from './input.js';

/** Longest policy that the engine takes. */
export const MAX_POLICY_BYTES = 1024 * 1024;
/** Longest input that leaves the engine room to work with it in its 64 MiB. The larger part of it can be metadata. */
export const MAX_INPUT_BYTES = 8 * 1024 * 1024;

/** Rules of package `model` that can be asked. */
export type PolicyRule = 'allow' | 'allow_tensor';

/** Tensors in one request, at the most: they share its deadline, and the memory of the sandbox. */
const MAX_BATCH_TENSORS = 250;
/** The same, of JSON text: a hostile file's names can be long. */
const MAX_BATCH_LENGTH = 1024 * 1024;

/**
 * The request as the engine takes it (native/rust/policy/src/policy.rs): JSON, as UTF-8, in a buffer of its own.
 *
 * @param tensors the rule is asked for each of them, as `input.tensor`; without, once
 * @throws RangeError, with the reason in words, if the policy or its input is too large for the sandbox
 */
export function encodeRequest(
  policy: string,
  rule: PolicyRule,
  input: PolicyInput,
  tensors?: readonly PolicyTensor[],
): Uint8Array<ArrayBuffer> {
  const inputText = toJson(input);
  const tensorsText = tensors === undefined ? '' : `,"tensors":${toJson(tensors)}`;
  if (
    inputText.length + tensorsText.length > MAX_INPUT_BYTES ||
    Buffer.byteLength(inputText) + Buffer.byteLength(tensorsText) > MAX_INPUT_BYTES
  ) {
    throw new RangeError(`its input is longer than ${MAX_INPUT_BYTES} bytes as JSON`);
  }
  return encode(policy, rule, `"input":${inputText},"now_ns":${input.time.now_ns}${tensorsText}`);
}

/**
 * The request that compiles a policy and asks it nothing.
 *
 * @throws RangeError, with the reason in words, if the policy is too large for the sandbox
 */
export function encodeCompileRequest(policy: string, rule: PolicyRule): Uint8Array<ArrayBuffer> {
  return encode(policy, rule, '"input":null,"now_ns":0,"compile_only":true');
}

/** Cuts a list of tensors into what goes into one request each. */
export function* batchesOf(tensors: readonly PolicyTensor[]): Generator<readonly PolicyTensor[]> {
  let start = 0;
  let length = 0;
  for (let i = 0; i < tensors.length; i++) {
    // As long as in the request, up to escapes.
    const { name, dtype, shape } = tensors[i]!;
    const own = name.length + dtype.length + 20 * shape.length + 40;
    if (i > start && (i - start === MAX_BATCH_TENSORS || length + own > MAX_BATCH_LENGTH)) {
      yield tensors.slice(start, i);
      start = i;
      length = 0;
    }
    length += own;
  }
  if (start < tensors.length) yield tensors.slice(start);
}

function encode(policy: string, rule: PolicyRule, rest: string): Uint8Array<ArrayBuffer> {
  // UTF-8 is never shorter than UTF-16 has units, so a policy that is too large is not even encoded.
  if (policy.length > MAX_POLICY_BYTES || Buffer.byteLength(policy) > MAX_POLICY_BYTES) {
    throw new RangeError(`its text is longer than ${MAX_POLICY_BYTES} bytes`);
  }
  return new TextEncoder().encode(`{"policy":${JSON.stringify(policy)},"rule":"${rule}",${rest}}`);
}

/**
 * JSON text in which a bigint is written in digits, so that 64-bit integers arrive exactly. Own enumerable fields only, and no
 * `toJSON`, so that nothing but the data speaks.
 */
function toJson(value: unknown): string {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(toJson).join(',')}]`;
  const fields = Object.entries(value as Record<string, unknown>);
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${toJson(field)}`).join(',')}}`;
}
