import type { PolicyInput, PolicyTensor } from './input.js';

/** Longest policy that the engine takes. */
export const MAX_POLICY_BYTES = 1024 * 1024;
/** Longest input that leaves the engine room to work with it in its 64 MiB. The larger part of it can be metadata. */
export const MAX_INPUT_BYTES = 8 * 1024 * 1024;

/** Rules of package `model` that can be asked. */
export type PolicyRule = 'allow' | 'allow_tensor';

/** Tensors in one request, at the most: they share the memory of one instance of the engine. */
const MAX_BATCH_TENSORS = 250;
/** The same, of JSON text: a hostile file's names can be long. */
const MAX_BATCH_LENGTH = 1024 * 1024;

/**
 * The request as the engine takes it (native/rust/policy/src/policy.rs): JSON, as UTF-8, in a buffer of its own.
 *
 * @param tensors the rule can be asked for each of them, as `input.tensor`
 * @throws RangeError, with the reason in words, if the policy or its input is too large for the sandbox
 */
export function encodeRequest(
  policy: string,
  rule: PolicyRule,
  input: PolicyInput,
  tensors?: readonly PolicyTensor[],
): Uint8Array<ArrayBuffer> {
  const tensorsText = tensors === undefined ? '' : `,"tensors":${toJson(tensors)}`;
  const facts = toBytes(
    `"input":${toJson(input)},"now_ns":${input.time.now_ns}${tensorsText}}`,
    MAX_INPUT_BYTES,
    (limit) => `its input is longer than ${limit} bytes as JSON`,
  );
  toBytes(policy, MAX_POLICY_BYTES, (limit) => `its text is longer than ${limit} bytes`);
  const question = new TextEncoder().encode(`{"policy":${JSON.stringify(policy)},"rule":"${rule}",`);
  const request = new Uint8Array(question.length + facts.length);
  request.set(question);
  request.set(facts, question.length);
  return request;
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

/** @throws RangeError */
function toBytes(text: string, limit: number, refusal: (limit: number) => string): Uint8Array<ArrayBuffer> {
  // UTF-8 is never shorter than UTF-16 has units, so what is too large is not even encoded.
  const bytes = text.length > limit ? undefined : new TextEncoder().encode(text);
  if (bytes === undefined || bytes.length > limit) throw new RangeError(refusal(limit));
  return bytes;
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
