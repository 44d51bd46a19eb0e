import { AbortError, CryptoTensorsError } from '../errors.js';
import { runAsync, runSync, step } from '../twin.js';
import type { Twin } from '../twin.js';
import { evaluateInWorker, evaluateInWorkerSync } from './host.js';
import type { Outcome } from './host.js';
import type { PolicyInput, PolicyTensor } from './input.js';
import { batchesOf, encodeCompileRequest, encodeRequest } from './request.js';
import type { PolicyRule } from './request.js';
import { enforce, judge, judgeEach, policyError } from './verdict.js';
import type { Verdict } from './verdict.js';

/** The policy of files that were written without one (FORMAT.md §2). */
export const DEFAULT_POLICY = 'package model\nallow = true';
/** Time for an evaluation, unless the caller says otherwise. */
const DEFAULT_DEADLINE_MS = 250;

/** How long an evaluation may take. */
export interface EvaluationLimits {
  /** Milliseconds that the evaluation may take, from when the engine is ready for it. Default: 250. */
  deadlineMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface EvaluateRequest extends EvaluationLimits {
  /** Default: `allow`. */
  rule?: PolicyRule | undefined;
  input: PolicyInput;
}

const TRUE: Verdict = { outcome: 'allowed', found: 'true' };
const NOT_DEFINED: Verdict = { outcome: 'allowed', found: 'not defined' };

/**
 * Asks a policy, and resolves only if it answers exactly `true`. A policy that does not define `allow_tensor` has nothing
 * against any tensor.
 *
 * @throws PolicyDenied if the answer is false, undefined or no boolean
 * @throws PolicyError if there is no answer: a syntax error, no such rule, a failure, a limit of the sandbox, the deadline
 * @throws InvalidOption if the deadline is not a positive number
 * @throws AbortError
 */
export async function evaluatePolicy(policy: string, request: EvaluateRequest): Promise<void> {
  await runAsync(ask(policy, request));
}

/** The same, blocking the thread. The signal counts only if it is aborted already. */
export function evaluatePolicySync(policy: string, request: EvaluateRequest): void {
  runSync(ask(policy, request));
}

function* ask(policy: string, request: EvaluateRequest): Twin<void> {
  const { rule = 'allow', input } = request;
  enforce(yield* judgePolicy(policy, request), { rule, input });
}

/**
 * Whether `policy` can have something to say about single tensors, told from its text without evaluating it: the name of a
 * rule stands in it as it is. Where this is false, `allow_tensor` need not be asked.
 */
export function mayRestrictTensors(policy: string): boolean {
  return policy.includes('allow_tensor');
}

/**
 * What a policy answers.
 *
 * @throws InvalidOption if the deadline is not a positive number
 * @throws AbortError
 */
export function* judgePolicy(policy: string, request: EvaluateRequest): Twin<Verdict> {
  const { rule = 'allow', input } = request;
  const deadlineMs = checkLimits(request);
  // Known to answer true, and to say nothing of tensors, without asking.
  if (rule === 'allow_tensor' && !mayRestrictTensors(policy)) return NOT_DEFINED;
  if (policy === DEFAULT_POLICY) return TRUE;
  try {
    const outcome = yield* evaluate(encodeRequest(policy, rule, input), deadlineMs, request.signal);
    return judge(outcome, { policy, rule, deadlineMs });
  } catch (error) {
    if (error instanceof AbortError) throw error;
    // Whatever else went wrong: there is no answer.
    return { outcome: 'failed', problem: (error as Error).message };
  }
}

/**
 * What a policy answers about many tensors: as if each were asked for alone, but the policy is parsed once for up to 250 of
 * them, which share one deadline.
 *
 * @param request its input is for action `read`, without a tensor
 * @returns one verdict per tensor, in their order
 * @throws PolicyError if there is no answer about several of them at once: a syntax error, a limit of the sandbox, the deadline
 * @throws InvalidOption if the deadline is not a positive number
 * @throws AbortError
 */
export function* judgeTensors(
  policy: string,
  tensors: readonly PolicyTensor[],
  request: Omit<EvaluateRequest, 'rule'>,
): Twin<Verdict[]> {
  const { input, signal } = request;
  const deadlineMs = checkLimits(request);
  if (!mayRestrictTensors(policy)) return tensors.map(() => NOT_DEFINED);
  const asked = { policy, rule: 'allow_tensor', deadlineMs } as const;
  const verdicts: Verdict[] = [];
  for (const batch of batchesOf(tensors)) {
    const [only] = batch.length === 1 ? batch : [];
    const about = { input: only === undefined ? input : { ...input, tensor: only } };
    let found: readonly Verdict[] | Verdict;
    try {
      const outcome = yield* evaluate(encodeRequest(policy, asked.rule, input, batch), deadlineMs, signal);
      found = judgeEach(outcome, batch.length, asked);
    } catch (error) {
      if (error instanceof AbortError) throw error;
      throw policyError(about, (error as Error).message, error);
    }
    if ('outcome' in found) {
      if (found.outcome === 'failed') throw policyError(about, found.problem);
      const shared = found;
      found = batch.map(() => shared);
    }
    for (const verdict of found) verdicts.push(verdict);
  }
  return verdicts;
}

/**
 * Compiles a policy that is to be shipped, and asks it nothing: one that does not parse, or that does not define `allow`, could
 * never open a file.
 *
 * @param name how messages call it
 * @throws PolicyError
 * @throws AbortError
 */
export function* checkPolicy(policy: string, name: string, limits: EvaluationLimits = {}): Twin<void> {
  const deadlineMs = checkLimits(limits);
  if (policy === DEFAULT_POLICY) return;
  let verdict: Verdict;
  try {
    const outcome = yield* evaluate(encodeCompileRequest(policy, 'allow'), deadlineMs, limits.signal);
    verdict = judge(outcome, { policy, rule: 'allow', deadlineMs });
  } catch (error) {
    if (error instanceof AbortError) throw error;
    verdict = { outcome: 'failed', problem: (error as Error).message };
  }
  if (verdict.outcome !== 'failed') return;
  throw new CryptoTensorsError('PolicyError', `${name} would never open the file: ${verdict.problem}`);
}

/** @returns the deadline */
function checkLimits({ deadlineMs = DEFAULT_DEADLINE_MS, signal }: EvaluationLimits): number {
  if (!(Number.isFinite(deadlineMs) && deadlineMs > 0)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      `options.policy.deadlineMs must be a positive number of milliseconds, not ${deadlineMs}`,
    );
  }
  if (signal?.aborted) throw new AbortError(signal.reason);
  return deadlineMs;
}

function* evaluate(
  request: Uint8Array<ArrayBuffer>,
  deadlineMs: number,
  signal: AbortSignal | undefined,
): Twin<Outcome> {
  const job = { request, deadlineMs, signal };
  const outcome = yield* step(
    () => evaluateInWorkerSync(job),
    () => evaluateInWorker(job),
  );
  if (signal?.aborted) throw new AbortError(signal.reason);
  return outcome;
}
