import { AbortError, CryptoTensorsError } from '../errors.js';
import { runAsync, runSync, step } from '../twin.js';
import type { Twin } from '../twin.js';
import { evaluateInWorker, evaluateInWorkerSync } from './host.js';
import type { PolicyInput } from './input.js';
import { encodeRequest } from './request.js';
import type { PolicyRule } from './request.js';
import { enforce, policyError } from './verdict.js';

/** The policy of files that were written without one (FORMAT.md §2). */
export const DEFAULT_POLICY = 'package model\nallow = true';
/** Time for an evaluation, unless the caller says otherwise. */
const DEFAULT_DEADLINE_MS = 250;

export interface EvaluateRequest {
  /** Default: `allow`. */
  rule?: PolicyRule | undefined;
  input: PolicyInput;
  /** Milliseconds that the evaluation may take, from when the engine is ready for it. Default: 250. */
  deadlineMs?: number | undefined;
  signal?: AbortSignal | undefined;
}

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

/**
 * Whether `policy` can have something to say about single tensors, told from its text without evaluating it: the name of a
 * rule stands in it as it is. Where this is false, `allow_tensor` need not be asked.
 */
export function mayRestrictTensors(policy: string): boolean {
  return policy.includes('allow_tensor');
}

function* ask(policy: string, request: EvaluateRequest): Twin<void> {
  const { rule = 'allow', input, deadlineMs = DEFAULT_DEADLINE_MS, signal } = request;
  if (!(Number.isFinite(deadlineMs) && deadlineMs > 0)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      `options.policy.deadlineMs must be a positive number of milliseconds, not ${deadlineMs}`,
    );
  }
  if (signal?.aborted) throw new AbortError(signal.reason);
  // Known to answer true, and to say nothing of tensors, without asking.
  if (policy === DEFAULT_POLICY) return;
  if (rule === 'allow_tensor' && !mayRestrictTensors(policy)) return;

  try {
    const job = { request: encodeRequest(policy, rule, input), deadlineMs, signal };
    const outcome = yield* step(
      () => evaluateInWorkerSync(job),
      () => evaluateInWorker(job),
    );
    if (signal?.aborted) throw new AbortError(signal.reason);
    enforce(outcome, { policy, rule, input, deadlineMs });
  } catch (error) {
    if (error instanceof CryptoTensorsError || error instanceof AbortError) throw error;
    // Whatever else went wrong: the file stays closed.
    throw policyError({ input }, (error as Error).message, error);
  }
}
