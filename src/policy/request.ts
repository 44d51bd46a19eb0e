import type { PolicyInput } from './input.js';

/** Longest policy that the engine takes. */
export const MAX_POLICY_BYTES = 1024 * 1024;
/** Longest input that leaves the engine room to work with it in its 64 MiB. The larger part of it can be metadata. */
export const MAX_INPUT_BYTES = 8 * 1024 * 1024;

/** Rules of package `model` that can be asked. */
export type PolicyRule = 'allow' | 'allow_tensor';

/**
 * The request as the engine takes it (native/rust/policy/src/policy.rs): JSON, as UTF-8, in a buffer of its own.
 *
 * @throws RangeError, with the reason in words, if the policy or its input is too large for the sandbox
 */
export function encodeRequest(policy: string, rule: PolicyRule, input: PolicyInput): Uint8Array<ArrayBuffer> {
  // UTF-8 is never shorter than UTF-16 has units, so a policy that is too large is not even encoded.
  if (policy.length > MAX_POLICY_BYTES || Buffer.byteLength(policy) > MAX_POLICY_BYTES) {
    throw new RangeError(`its text is longer than ${MAX_POLICY_BYTES} bytes`);
  }
  const inputText = toJson(input);
  if (inputText.length > MAX_INPUT_BYTES || Buffer.byteLength(inputText) > MAX_INPUT_BYTES) {
    throw new RangeError(`its input is longer than ${MAX_INPUT_BYTES} bytes as JSON`);
  }
  const text = `{"policy":${JSON.stringify(policy)},"rule":"${rule}","input":${inputText},"now_ns":${input.time.now_ns}}`;
  return new TextEncoder().encode(text);
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
