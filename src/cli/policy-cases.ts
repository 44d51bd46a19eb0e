import { explainPolicy } from '../index.js';
import type { ExplainOptions, ClaimValue, PolicyDraft, PolicyExplanation, PolicyLicense } from '../index.js';
import { usageError } from './cli-error.js';
import { given } from './flags.js';
import { parseRfc3339 } from './times.js';
import { visible } from './terminal-text.js';
import { parseJsonData } from '../options.js';

/*
 * Cases that a policy is to decide, as `cryptotensors policy test` reads them: a JSON array of
 *
 *   { "name": "…", "input": { …fields of the policy's input… }, "expect": "allow" | "deny" | "error",
 *     "tensors": [{ "name": "…", "dtype": "F32", "shape": [1], "expect": "…" }] }
 *
 * What `input` leaves out is the same on every machine and at any time: see DEFAULTS, and docs/policies.md.
 */

export type Expectation = 'allow' | 'deny' | 'error';

/** One case, ready to be asked. */
export interface PolicyCase {
  name: string;
  expect: Expectation;
  draft: Omit<PolicyDraft, 'policy'>;
  options: ExplainOptions;
  /** What is expected of the tensors of the draft. */
  tensors: readonly Expectation[];
}

/** What became of one expectation. */
export interface CaseResult {
  name: string;
  /** The tensor that was asked about; null for `allow`. */
  tensor: string | null;
  expected: Expectation;
  found: Expectation;
  passed: boolean;
  reason: string;
  /** What the question used of its budget. */
  fuel: number | null;
}

const DEFAULTS = {
  time: '2026-01-01T00:00:00Z',
  host: { platform: 'linux', arch: 'x64', hostname: 'localhost' },
  runtime: { name: 'node', version: '20.19.0' },
  model: { metadata: {}, signer: null },
  tensor: { dtype: 'F32', shape: [1] },
};
const EXPECTATIONS: readonly Expectation[] = ['allow', 'deny', 'error'];
const FOUND: Record<PolicyExplanation['outcome'], Expectation> = { allowed: 'allow', denied: 'deny', failed: 'error' };

type JsonObject = Readonly<Record<string, ClaimValue>>;

/** @throws usage errors that say where the text is wrong */
export function parseCases(text: string, file: string): PolicyCase[] {
  let document: ClaimValue;
  try {
    document = parseJsonData(text) as ClaimValue;
  } catch {
    // What the parser says quotes the text, and the wrong file may have been named: a key file, say.
    throw usageError(`${file} is not JSON`);
  }
  if (!Array.isArray(document)) throw usageError(`${file} must be a JSON array of cases`);
  const cases = document as readonly ClaimValue[];
  if (cases.length === 0) throw usageError(`${file} holds no case`);
  return cases.map((value, i) => parseCase(value, `${file}: case ${i + 1}`));
}

function parseCase(value: ClaimValue, where: string): PolicyCase {
  const fields = object(value, where, ['name', 'input', 'expect', 'tensors']);
  const name = string(fields['name'], `${where}: name`);
  const at = `${where} (${visible(name)})`;
  const tensors = list(fields['tensors'] ?? [], `${at}: tensors`).map((tensor, i) =>
    parseTensor(tensor, `${at}: tensor ${i + 1}`),
  );
  const input = object(fields['input'] ?? {}, `${at}: input`, [
    ...['action', 'time', 'host', 'runtime', 'env', 'claims', 'license', 'model'],
  ]);
  const part = (field: 'host' | 'runtime' | 'env' | 'claims' | 'model', known?: readonly string[]): JsonObject =>
    object(input[field] ?? {}, `${at}: input.${field}`, known);
  const time = object(input['time'] ?? { rfc3339: DEFAULTS.time }, `${at}: input.time`, ['rfc3339']);
  const now = parseRfc3339(string(time['rfc3339'], `${at}: input.time.rfc3339`), `${at}: input.time.rfc3339`);
  const license = input['license'] === undefined ? undefined : parseLicense(input['license'], `${at}: input.license`);
  return {
    name,
    expect: expectation(fields['expect'], `${at}: expect`),
    draft: {
      tensors: tensors.map(({ tensor }) => tensor),
      facts: {
        host: { ...DEFAULTS.host, ...part('host', ['platform', 'arch', 'hostname']) },
        runtime: { ...DEFAULTS.runtime, ...part('runtime', ['name', 'version']) },
        env: part('env') as Record<string, string>,
        model: {
          ...DEFAULTS.model,
          tensors: Math.max(1, tensors.length),
          ...part('model', ['metadata', 'tensors', 'signer']),
        },
      },
    },
    options: given({
      action: oneOf(input['action'] ?? 'open', ['open', 'read', 'rewrap'] as const, `${at}: input.action`),
      claims: { ...part('claims') },
      license,
      policy: { now: () => now },
      tensors: true,
    }),
    tensors: tensors.map(({ expect }) => expect),
  };
}

function parseTensor(value: ClaimValue, where: string) {
  const fields = object(value, where, ['name', 'dtype', 'shape', 'expect']);
  return {
    expect: expectation(fields['expect'], `${where}: expect`),
    tensor: {
      name: string(fields['name'], `${where}: name`),
      dtype: string(fields['dtype'] ?? DEFAULTS.tensor.dtype, `${where}: dtype`),
      shape: list(fields['shape'] ?? DEFAULTS.tensor.shape, `${where}: shape`) as number[],
    },
  };
}

/** Times of a licence are written as RFC 3339 text: JSON has no exact numbers of that size. */
function parseLicense(value: ClaimValue, where: string): PolicyLicense {
  const fields = object(value, where, ['id', 'claims', 'issued', 'expires', 'not_before']);
  const moment = (field: string): bigint | null => {
    const text = fields[field] ?? null;
    const place = `${where}.${field}`;
    return text === null ? null : BigInt(parseRfc3339(string(text, place), place).getTime()) * 1_000_000n;
  };
  return {
    id: string(fields['id'] ?? 'license', `${where}.id`),
    claims: object(fields['claims'] ?? {}, `${where}.claims`),
    issued_ns: moment('issued') ?? BigInt(Date.parse(DEFAULTS.time)) * 1_000_000n,
    expires_ns: moment('expires'),
    not_before_ns: moment('not_before'),
  };
}

/** Asks the policy what it decides in each of the cases. */
export async function runCases(
  policy: string,
  cases: readonly PolicyCase[],
  { fuel, signal }: { fuel: number | undefined; signal: AbortSignal },
): Promise<CaseResult[]> {
  const results: CaseResult[] = [];
  for (const { name, expect, draft, options, tensors } of cases) {
    const limits = { signal, policy: { ...options.policy, ...given({ fuel }) } };
    const explained = await explainPolicy({ policy, ...draft }, { ...options, ...limits });
    const judge = (
      tensor: string | null,
      expected: Expectation,
      from: Pick<PolicyExplanation, 'outcome' | 'reason' | 'fuel'>,
    ) => {
      const found = FOUND[from.outcome];
      results.push({ name, tensor, expected, found, passed: found === expected, reason: from.reason, fuel: from.fuel });
    };
    judge(null, expect, explained);
    for (const [i, tensor] of explained.tensors!.entries()) judge(tensor.name, tensors[i]!, tensor);
  }
  return results;
}

function expectation(value: ClaimValue | undefined, where: string): Expectation {
  return oneOf(value, EXPECTATIONS, where);
}

function oneOf<Word extends string>(value: ClaimValue | undefined, words: readonly Word[], where: string): Word {
  const word = words.find((candidate) => candidate === value);
  if (word === undefined) throw usageError(`${where} must be one of ${words.map((w) => `"${w}"`).join(', ')}`);
  return word;
}

function object(value: ClaimValue, where: string, known?: readonly string[]): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw usageError(`${where} must be an object`);
  const unknown = Object.keys(value).find((name) => known !== undefined && !known.includes(name));
  if (unknown !== undefined) {
    throw usageError(`${where} has an unknown field "${visible(unknown)}"; it takes: ${known!.join(', ')}`);
  }
  return value as JsonObject;
}

function string(value: ClaimValue | undefined, where: string): string {
  if (typeof value !== 'string') throw usageError(`${where} must be a string`);
  return value;
}

function list(value: ClaimValue, where: string): readonly ClaimValue[] {
  if (!Array.isArray(value)) throw usageError(`${where} must be an array`);
  return value as readonly ClaimValue[];
}
