import { CryptoTensorsError, looksSecret, quote, quoteInput } from '../errors.js';
import type { ErrorDetails } from '../errors.js';
import type { Exhausted } from './engine.js';
import type { PolicyInput } from './input.js';
import type { PolicyRule } from './request.js';
import { option, say } from '../wording.js';
import type { Wording } from '../wording.js';
import { withoutPrototype, parseJsonData } from '../options.js';

/** The engine's answer to one question (native/rust/policy/src/policy.rs). */
type Answer =
  | { ok: true; value: boolean }
  | {
      ok: false;
      kind: 'undefined' | 'not_boolean' | 'no_rule' | 'syntax' | 'error';
      message: string;
      line?: number;
      column?: number;
    };

/** What a policy says to a question. The words hold no value of the input. */
export type Verdict = Decision & {
  /** What the question has used of its budget of fuel; null where another engine answered it. */
  fuel: number | null;
};

export type Decision =
  /** It said `true`, or it says nothing about single tensors: which. */
  | { outcome: 'allowed'; found: 'true' | 'not defined' }
  /** It said something else: what. */
  | { outcome: 'denied'; found: string }
  /** It gave no answer: why. */
  | { outcome: 'failed'; problem: string | Wording };

/** How the engine came to an end. */
export type Outcome =
  /** With the JSON text of its answer. */
  | { type: 'answer'; text: string }
  /** It stopped half-way: what is used up. */
  | { type: 'stopped'; exhausted: Exhausted };

/** What was asked, for messages. */
export interface Question {
  policy: string;
  rule: PolicyRule;
  input: PolicyInput;
  /** The budget. */
  fuel: number;
}

type Asked = Pick<Question, 'policy' | 'rule' | 'fuel'>;

/** What an evaluation says. Allowed is exactly `true`, and a policy that says nothing about single tensors when asked about one. */
export function judge(outcome: Outcome, asked: Asked): Decision {
  return outcome.type === 'answer'
    ? judgeAnswer(parseJsonData(outcome.text) as Answer, asked)
    : { outcome: 'failed', problem: describeEnd(outcome.exhausted, asked) };
}

function judgeAnswer(answer: Answer, { policy, rule }: Asked): Decision {
  if (answer.ok) {
    // Strictly: whatever is not the value true refuses.
    return (answer.value as unknown) === true
      ? { outcome: 'allowed', found: 'true' }
      : { outcome: 'denied', found: 'false' };
  }
  switch (answer.kind) {
    case 'undefined':
      return { outcome: 'denied', found: 'undefined' };
    case 'not_boolean':
      return { outcome: 'denied', found: `${answer.message}, where only true opens` };
    case 'no_rule':
      // DESIGN: `allow_tensor` is optional.
      if (rule === 'allow_tensor') return { outcome: 'allowed', found: 'not defined' };
      return { outcome: 'failed', problem: answer.message };
    default:
      return { outcome: 'failed', problem: `${place(answer, policy)}${quoteReason(answer.message)}` };
  }
}

function describeEnd(exhausted: Exhausted, { fuel }: Asked): string | Wording {
  switch (exhausted) {
    case 'fuel':
      return say`it used up its budget of ${fuel} units of fuel; if it is meant to do so much, raise ${option('policy.fuel')}`;
    case 'memory':
      return 'it used up the memory of its sandbox, 64 MiB';
    case 'stack':
      return 'it used up the stack of its sandbox: what it nests or repeats in itself goes too deep';
    case 'thread stack':
      return (
        'the calling thread has less stack left than a policy may use; ask from a shallower depth of calls, or give the ' +
        'thread more (resourceLimits.stackSizeMb)'
      );
    case 'format':
      return 'the format of one of its sprintf has a width or precision that is too large, or not written in the digits 0 to 9';
    case 'engine':
      return 'the policy engine failed at it, which is a fault of the engine';
  }
}

/**
 * Returns if the verdict is that the file opens, or that the tensor may be read.
 *
 * @param advice what the caller can do about a refusal
 * @throws PolicyDenied, PolicyError
 */
export function enforce(verdict: Decision, question: Pick<Question, 'rule' | 'input'>, advice?: string): void {
  if (verdict.outcome === 'denied') throw policyDenied(question, verdict.found, advice);
  if (verdict.outcome === 'failed') throw policyError(question, verdict.problem);
}

function policyDenied(
  { rule, input }: Pick<Question, 'rule' | 'input'>,
  found: string,
  advice: string | undefined,
): CryptoTensorsError {
  const details: ErrorDetails = { expected: 'true', found };
  const { tensor } = withoutPrototype(input);
  if (tensor !== undefined) details.tensor = tensor.name;
  return new CryptoTensorsError(
    'PolicyDenied',
    `the file's policy refuses ${describeObject(input)}: data.model.${rule} is ${found}. It saw ${describeInput(input)}${advice === undefined ? '' : `. ${advice}`}`,
    details,
  );
}

/** An error that refuses because there is no answer. @param problem what went wrong, without any value of the input */
export function policyError(
  { input }: Pick<Question, 'input'>,
  problem: string | Wording,
  cause?: unknown,
): CryptoTensorsError {
  const details: ErrorDetails = { cause };
  const { tensor } = withoutPrototype(input);
  if (tensor !== undefined) details.tensor = tensor.name;
  return new CryptoTensorsError(
    'PolicyError',
    say`the file's policy could not be evaluated, so ${describeObject(input)} stays closed: ${problem}`,
    details,
  );
}

function describeObject(input: PolicyInput): string {
  const { action, tensor } = withoutPrototype(input);
  if (tensor !== undefined) return `tensor ${quote(tensor.name)}`;
  return action === 'read' ? 'what is to be read' : 'the file';
}

/** The top level of what the policy saw: of `env` and of claims the names, never the values. */
function describeInput(input: PolicyInput): string {
  const { action, time, host, runtime, env, claims, license } = withoutPrototype(input);
  return [
    `action ${action}`,
    `time ${time.rfc3339}`,
    `host ${host.platform} ${host.arch}`,
    `runtime ${runtime.name} ${runtime.version}`,
    `env ${listNames(env)}`,
    `claims ${listNames(claims)}`,
    ...(license === undefined ? [] : [`license ${quote(license.id)} with claims ${listNames(license.claims)}`]),
  ].join('; ');
}

function listNames(record: object): string {
  const names = Object.keys(record);
  const shown = names.slice(0, 10).map(quoteInput).join(', ');
  return names.length === 0 ? '(none)' : names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}

/** `line 2, column 9 ("allow = 1/0"): `, where the engine told a place. */
function place({ line, column }: Answer & { ok: false }, policy: string): string {
  if (line === undefined) return '';
  const text = policy.split('\n', line)[line - 1]?.trim() ?? '';
  return `line ${line}${column === undefined ? '' : `, column ${column}`} (${quoteInput(text)}): `;
}

/** The engine's own words, made safe for a log: they can hold text of the policy. */
function quoteReason(reason: string): string {
  if (looksSecret(reason)) return quoteInput(reason);
  return quote(reason).slice(1, -1).replaceAll('\\"', '"');
}
