import { CryptoTensorsError, quote } from '../errors.js';
import type { ErrorDetails } from '../errors.js';
import type { Outcome } from './host.js';
import type { PolicyInput } from './input.js';
import type { PolicyRule } from './request.js';

/** The engine's answer (native/rust/policy/src/policy.rs). */
type Answer =
  | { ok: true; value: boolean }
  | {
      ok: false;
      kind: 'undefined' | 'not_boolean' | 'no_rule' | 'syntax' | 'error';
      message: string;
      line?: number;
      column?: number;
    };

/** What was asked, for messages. */
export interface Question {
  policy: string;
  rule: PolicyRule;
  input: PolicyInput;
  deadlineMs: number;
}

/**
 * Returns if the policy said exactly `true`, or says nothing about single tensors when it is asked about one.
 *
 * @throws PolicyDenied for any other answer
 * @throws PolicyError if there is none
 */
export function enforce(outcome: Outcome, question: Question): void {
  switch (outcome.type) {
    case 'answer':
      enforceAnswer(JSON.parse(outcome.text) as Answer, question);
      return;
    case 'trap':
      throw policyError(
        question,
        `it broke the limits of its sandbox (64 MiB of memory, 4 MiB of stack): ${outcome.reason}`,
      );
    case 'silence':
      throw policyError(
        question,
        `it did not answer within ${question.deadlineMs} ms; if it is meant to take longer, raise options.policy.deadlineMs`,
      );
    case 'unavailable':
      throw policyError(question, `the engine's worker thread is not available: ${outcome.reason}`);
  }
}

function enforceAnswer(answer: Answer, question: Question): void {
  if (answer.ok) {
    // Strictly: whatever is not the value true refuses.
    if ((answer.value as unknown) === true) return;
    throw policyDenied(question, 'false');
  }
  switch (answer.kind) {
    case 'undefined':
      throw policyDenied(question, 'undefined');
    case 'not_boolean':
      throw policyDenied(question, `${answer.message}, where only true opens`);
    case 'no_rule':
      // DESIGN: `allow_tensor` is optional.
      if (question.rule === 'allow_tensor') return;
      throw policyError(question, answer.message);
    default:
      throw policyError(question, `${place(answer, question.policy)}${quoteReason(answer.message)}`);
  }
}

function policyDenied({ rule, input }: Question, found: string): CryptoTensorsError {
  const details: ErrorDetails = { expected: 'true', found };
  if (input.tensor !== undefined) details.tensor = input.tensor.name;
  return new CryptoTensorsError(
    'PolicyDenied',
    `the file's policy refuses ${describeObject(input)}: data.model.${rule} is ${found}. It saw ${describeInput(input)}`,
    details,
  );
}

/** An error that refuses because there is no answer. @param problem what went wrong, without any value of the input */
export function policyError({ input }: Pick<Question, 'input'>, problem: string, cause?: unknown): CryptoTensorsError {
  const details: ErrorDetails = { cause };
  if (input.tensor !== undefined) details.tensor = input.tensor.name;
  return new CryptoTensorsError(
    'PolicyError',
    `the file's policy could not be evaluated, so ${describeObject(input)} stays closed: ${problem}`,
    details,
  );
}

function describeObject({ tensor }: PolicyInput): string {
  return tensor === undefined ? 'the file' : `tensor ${quote(tensor.name)}`;
}

/** The top level of what the policy saw: of `env` and `claims` the names, never the values. */
function describeInput({ action, time, host, runtime, env, claims }: PolicyInput): string {
  return [
    `action ${action}`,
    `time ${time.rfc3339}`,
    `host ${host.platform} ${host.arch}`,
    `runtime ${runtime.name} ${runtime.version}`,
    `env ${listNames(env)}`,
    `claims ${listNames(claims)}`,
  ].join('; ');
}

function listNames(record: object): string {
  const names = Object.keys(record);
  const shown = names.slice(0, 10).map(quote).join(', ');
  return names.length === 0 ? '(none)' : names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}

/** `line 2, column 9 ("allow = 1/0"): `, where the engine told a place. */
function place({ line, column }: Answer & { ok: false }, policy: string): string {
  if (line === undefined) return '';
  const text = policy.split('\n', line)[line - 1]?.trim() ?? '';
  return `line ${line}${column === undefined ? '' : `, column ${column}`} (${quote(text)}): `;
}

/** The engine's own words, made safe for a log: they can hold text of the policy. */
function quoteReason(reason: string): string {
  return quote(reason).slice(1, -1).replaceAll('\\"', '"');
}
