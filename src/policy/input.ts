import { CryptoTensorsError, argumentError } from '../errors.js';
import { readDate, withoutPrototype } from '../options.js';
import { copyClaims } from './claims.js';
import type { ClaimValue } from '../format/license.js';
import { describeHost, describeRuntime, environmentVariable } from './host.js';
import { option, say } from '../wording.js';

export type { ClaimValue } from '../format/license.js';

/** What the policy is asked about: opening the file, reading one tensor of it, or giving it other keys. */
export type PolicyAction = 'open' | 'read' | 'rewrap';

/** What a policy sees as `input` (docs/policies.md: documented and stable). Names of the fields are Rego's, hence the underscore. */
export interface PolicyInput {
  readonly action: PolicyAction;
  readonly time: {
    /** Nanoseconds since 1970; `time.now_ns()` answers the same. */
    readonly now_ns: bigint;
    /** The same in UTC, such as `2026-01-31T12:00:00.000Z`. */
    readonly rfc3339: string;
  };
  readonly host: { readonly platform: string; readonly arch: string; readonly hostname: string };
  readonly runtime: { readonly name: string; readonly version: string };
  /** Those of the listed environment variables that are set. */
  readonly env: Readonly<Record<string, string>>;
  readonly claims: Readonly<Record<string, ClaimValue>>;
  /** The licence that the file is opened with; absent without one. */
  readonly license?: PolicyLicense;
  readonly model: {
    /** The user's metadata, without reserved keys. */
    readonly metadata: Readonly<Record<string, string>>;
    /** Number of tensors. */
    readonly tensors: number;
    /** `kid` of the key that signed the file. */
    readonly signer: string | null;
  };
  /** The tensor that is asked for, for `allow_tensor`; absent otherwise. */
  readonly tensor?: PolicyTensor;
}

/** What a policy sees of a licence, whose signature has been verified. Times are nanoseconds since 1970. */
export interface PolicyLicense {
  readonly id: string;
  /** What the vendor wrote into it. */
  readonly claims: Readonly<Record<string, ClaimValue>>;
  readonly issued_ns: bigint;
  readonly expires_ns: bigint | null;
  readonly not_before_ns: bigint | null;
}

export interface PolicyTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly (number | bigint)[];
}

/** The same as plain data that `JSON.stringify` takes: 64-bit integers are the nearest numbers. */
export type Plain<Value> = Value extends bigint
  ? number
  : Value extends readonly (infer Item)[]
    ? readonly Plain<Item>[]
    : Value extends object
      ? { readonly [Name in keyof Value]: Plain<Value[Name]> }
      : Value;

/** A copy. Objects in it have no prototype. */
export function toPlain<Value>(value: Value): Plain<Value>;
export function toPlain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => toPlain(item));
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [name, field] of Object.entries(value)) copy[name] = toPlain(field as unknown);
  return copy;
}

/**
 * What a policy sees as `input`, as it is shown and given to other engines than the built-in one, which gets all digits. Of
 * `now_ns`, rounded to 256 nanoseconds here, `rfc3339` has them too.
 */
export type PlainPolicyInput = Plain<PolicyInput>;

/** What {@link buildPolicyInput} adds the host's own facts to. */
export interface PolicyFacts {
  action: PolicyAction;
  claims: unknown;
  /** Names of environment variables that the policy may see. */
  env: readonly string[] | undefined;
  model: PolicyInput['model'];
  /** Default: the system's clock. */
  now?: (() => Date | bigint) | undefined;
  license?: PolicyLicense | undefined;
  tensor?: PolicyTensor | undefined;
}

/** Times that fit the 64-bit nanoseconds of Rego: the years 1677 to 2262. */
const MAX_NS = 2n ** 63n - 1n;
const MIN_NS = -(2n ** 63n);

/**
 * Gathers what the policy may know. Nothing else of the process reaches it.
 *
 * @throws TypeError if claims are not plain JSON data, or `env` or `now` not what they should be
 * @throws InvalidOption if claims are cyclic, too deep or too large, or the time is out of range
 */
export function buildPolicyInput(facts: PolicyFacts): PolicyInput {
  const { action, claims, env, model, now, license, tensor } = withoutPrototype(facts);
  return {
    action,
    time: describeTime(readClock(now)),
    host: describeHost(),
    runtime: describeRuntime(),
    env: pickEnvironment(env),
    claims: copyClaims(claims, 'options.claims'),
    ...(license === undefined
      ? {}
      : { license: { ...license, claims: copyClaims(license.claims, "the licence's claims") } }),
    model,
    ...(tensor === undefined ? {} : { tensor }),
  };
}

/** The caller's clock, or the system's, in nanoseconds since 1970. @throws TypeError, InvalidOption */
export function readClock(now: (() => Date | bigint) | undefined): bigint {
  if (now === undefined) return BigInt(Date.now()) * 1_000_000n;
  const moment: unknown = now();
  if (typeof moment === 'bigint') {
    if (moment < MIN_NS || moment > MAX_NS) throw timeError(`${moment} ns`);
    return moment;
  }
  const milliseconds = readDate(
    moment,
    say`the result of ${option('policy.now')}`,
    'a Date or a bigint of nanoseconds',
  );
  if (Number.isNaN(milliseconds)) throw timeError('an invalid Date');
  const nanoseconds = BigInt(milliseconds) * 1_000_000n;
  if (nanoseconds < MIN_NS || nanoseconds > MAX_NS) throw timeError(`${milliseconds} ms`);
  return nanoseconds;
}

function timeError(found: string): CryptoTensorsError {
  const expected = 'a time between the years 1677 and 2262';
  return new CryptoTensorsError('InvalidOption', say`${option('policy.now')} must return ${expected}, not ${found}`, {
    expected,
    found,
  });
}

function describeTime(nanoseconds: bigint): PolicyInput['time'] {
  const perMillisecond = 1_000_000n;
  // Rounds down, also before 1970.
  const rest = ((nanoseconds % perMillisecond) + perMillisecond) % perMillisecond;
  const text = new Date(Number((nanoseconds - rest) / perMillisecond)).toISOString();
  const fraction = rest === 0n ? '' : rest.toString().padStart(6, '0');
  return { now_ns: nanoseconds, rfc3339: text.replace('Z', `${fraction}Z`) };
}

function pickEnvironment(names: unknown): Record<string, string> {
  // Without a prototype, `__proto__` is a name like any other.
  const picked = Object.create(null) as Record<string, string>;
  if (names === undefined) return picked;
  if (!Array.isArray(names)) throw argumentError('options.policy.env', 'an array of names', names);
  for (const name of names as unknown[]) {
    if (typeof name !== 'string') throw argumentError(say`each name in ${option('policy.env')}`, 'a string', name);
    const value = environmentVariable(name);
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}
