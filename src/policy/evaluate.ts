import { throwIfAborted } from '../abort.js';
import { CryptoTensorsError } from '../errors.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { EngineStopped, PolicyEngine } from './engine.js';
import { warn } from './host.js';
import { buildPolicyInput } from './input.js';
import type { PolicyInput, PolicyTensor } from './input.js';
import { loadModule } from './module.js';
import { batchesOf, encodeRequest } from './request.js';
import type { PolicyRule } from './request.js';
import { enforce, judge, policyError } from './verdict.js';
import type { Decision, Outcome, Verdict } from './verdict.js';
import { named, option, say } from '../wording.js';
import { hasOwn, withoutPrototype } from '../options.js';

/** The policy of files that were written without one (FORMAT.md §2). */
export const DEFAULT_POLICY = 'package model\nallow = true';
/** Budget of a question, unless the caller says otherwise. */
export const DEFAULT_FUEL = 400_000_000;
/** Part of the default budget beyond which writing warns. */
const WARNING_FUEL = DEFAULT_FUEL / 10;
/** Where there are many questions, the event loop gets a turn each time that they have used as much. */
const FUEL_PER_TURN = 100_000_000;

/** How much an evaluation may do. */
export interface EvaluationLimits {
  /** Units of fuel for each question. Default: 400 million. */
  fuel?: number | undefined;
  /** Looked at before each question. */
  signal?: AbortSignal | undefined;
}

export interface EvaluateRequest extends EvaluationLimits {
  /** Default: `allow`. */
  rule?: PolicyRule | undefined;
  input: PolicyInput;
}

const TRUE: Verdict = { outcome: 'allowed', found: 'true', fuel: 0 };
const NOT_DEFINED: Verdict = { outcome: 'allowed', found: 'not defined', fuel: 0 };

/**
 * Asks a policy, and returns only if it answers exactly `true`. A policy that does not define `allow_tensor` has nothing
 * against any tensor.
 *
 * @throws PolicyDenied if the answer is false, undefined or no boolean
 * @throws PolicyError if there is no answer: a syntax error, no such rule, a failure, fuel or memory or stack used up
 * @throws InvalidOption if the budget is not a positive integer
 * @throws AbortError
 */
export function* askPolicy(policy: string, request: EvaluateRequest): Twin<void> {
  const { rule = 'allow', input } = withoutPrototype(request);
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
 * @throws InvalidOption if the budget is not a positive integer
 * @throws AbortError
 */
export function* judgePolicy(policy: string, request: EvaluateRequest): Twin<Verdict> {
  const { rule = 'allow', input } = withoutPrototype(request);
  const fuel = checkLimits(request);
  // Known to answer true, and to say nothing of tensors, without asking.
  if (rule === 'allow_tensor' && !mayRestrictTensors(policy)) return NOT_DEFINED;
  if (policy === DEFAULT_POLICY) return TRUE;
  const asked = { policy, rule, fuel };
  const opened = yield* open(() => encodeRequest(policy, rule, input), fuel);
  if (hasOwn(opened, 'outcome')) return { ...opened, fuel: 0 };
  const { engine, request: bytes } = opened;
  const outcome = attempt(() => engine.read(bytes) ?? engine.compile() ?? engine.ask())!;
  return { ...judge(outcome, asked), fuel: Number(engine.used) };
}

/**
 * What a policy answers about many tensors: as if each were asked for alone, with a budget of its own, but the policy is parsed
 * once for up to 250 of them. Where it awaits, the event loop gets its turns.
 *
 * @param request its input is for action `read`, without a tensor
 * @returns one verdict per tensor, in their order
 * @throws PolicyError if the policy cannot be asked about any of them (a syntax error), or something is used up at one
 * @throws InvalidOption if the budget is not a positive integer
 * @throws AbortError
 */
export function* judgeTensors(
  policy: string,
  tensors: readonly PolicyTensor[],
  request: Omit<EvaluateRequest, 'rule'>,
): Twin<Verdict[]> {
  const { input, signal } = withoutPrototype(request);
  const fuel = checkLimits(request);
  if (!mayRestrictTensors(policy)) return tensors.map(() => NOT_DEFINED);
  const asked = { policy, rule: 'allow_tensor', fuel } as const;
  const verdicts: Verdict[] = [];
  let sinceTurn = 0n;
  for (const batch of batchesOf(tensors)) {
    // Of one alone it is clear which it is about.
    const refuse = (decision: Decision, tensor = batch.length === 1 ? batch[0] : undefined): void => {
      if (decision.outcome !== 'failed') return;
      throw policyError({ input: tensor === undefined ? input : { ...input, tensor } }, decision.problem);
    };
    const opened = yield* open(() => encodeRequest(policy, asked.rule, input, batch), fuel);
    if (hasOwn(opened, 'outcome')) {
      refuse(opened);
      return verdicts;
    }
    const { engine, request: bytes } = opened;
    const refusal = attempt(() => engine.read(bytes) ?? engine.compile() ?? engine.analyse());
    const parsing = engine.used;
    sinceTurn += parsing;
    if (refusal !== undefined) {
      // That of a policy that does not say anything of tensors.
      const decision = judge(refusal, asked);
      refuse(decision);
      const verdict = { ...decision, fuel: Number(parsing) };
      batch.forEach(() => verdicts.push(verdict));
      continue;
    }
    const budget = engine.fuel;
    for (const [i, tensor] of batch.entries()) {
      engine.refuel(budget);
      const outcome = attempt(() => engine.ask(i))!;
      const decision = judge(outcome, asked);
      // The engine is of no use any more, and what is used up at one will be at most.
      if (outcome.type !== 'answer') refuse(decision, tensor);
      verdicts.push({ ...decision, fuel: Number(parsing + engine.used) });
      sinceTurn += engine.used;
      if (sinceTurn < FUEL_PER_TURN) continue;
      sinceTurn = 0n;
      yield* turn();
      throwIfAborted(signal);
    }
  }
  return verdicts;
}

/**
 * Compiles a policy that is to be shipped: one that does not parse, that does not define `allow`, or that calls what there is
 * not, could never open a file. Its answer does not matter, but what it costs: a process warning tells if that is much.
 *
 * @param name how messages call it
 * @throws PolicyError, also where there is no engine to check it with
 * @throws AbortError
 */
export function* checkPolicy(policy: string, name: string, limits: EvaluationLimits = {}): Twin<void> {
  const fuel = checkLimits(limits);
  if (policy === DEFAULT_POLICY) return;
  const input = trialInput();
  const opened = yield* open(() => encodeRequest(policy, 'allow', input), fuel);
  if (hasOwn(opened, 'outcome')) {
    throw new CryptoTensorsError(
      'PolicyError',
      say`${named(name)} ${opened.unchecked ? 'could not be checked' : NEVER_OPENS}: ${opened.problem}`,
    );
  }
  const { engine, request } = opened;
  const refusal = attempt(() => engine.read(request) ?? engine.compile() ?? engine.analyse() ?? engine.checkCalls());
  if (refusal !== undefined) {
    const decision = judge(refusal, { policy, rule: 'allow', fuel });
    const problem = decision.outcome === 'failed' ? decision.problem : 'the engine gave no reason';
    throw new CryptoTensorsError('PolicyError', say`${named(name)} ${NEVER_OPENS}: ${problem}`);
  }
  yield* warnOfCost(policy, name, input);
}

const NEVER_OPENS = 'would never open the file';

/** The facts of this machine, about a model of which nothing is known. */
function trialInput(): PolicyInput {
  return buildPolicyInput({
    action: 'open',
    claims: {},
    env: undefined,
    model: { metadata: {}, tensors: 1, signer: null },
  });
}

function* warnOfCost(policy: string, name: string, input: PolicyInput): Twin<void> {
  const opening = yield* judgePolicy(policy, { input });
  const tensor = { name: 'tensor', dtype: 'F32', shape: [1] };
  const reading = yield* judgePolicy(policy, { rule: 'allow_tensor', input: { ...input, action: 'read', tensor } });
  const fuel = Math.max(opening.fuel ?? 0, reading.fuel ?? 0);
  if (fuel <= WARNING_FUEL) return;
  warn(
    `${name} takes ${fuel} units of fuel to answer where it is told next to nothing: more than a tenth of the ` +
      `${DEFAULT_FUEL} that a question gets. With more facts it can take more, and the file stays closed where that is too much`,
    {
      type: 'CryptoTensorsWarning',
      code: 'CRYPTOTENSORS_POLICY_FUEL',
      detail: 'cryptotensors policy test shows the fuel of each case.',
    },
  );
}

/** @returns the budget */
function checkLimits(limits: EvaluationLimits): number {
  const { fuel = DEFAULT_FUEL, signal } = withoutPrototype(limits);
  if (!(Number.isSafeInteger(fuel) && fuel > 0)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('policy.fuel')} must be a positive integer, not ${fuel}`,
    );
  }
  throwIfAborted(signal);
  return fuel;
}

/** An engine with a budget, and the request for it to read; or why there is neither. */
function* open(
  encode: () => Uint8Array,
  fuel: number,
): Twin<{ engine: PolicyEngine; request: Uint8Array } | { outcome: 'failed'; problem: string; unchecked: boolean }> {
  let request: Uint8Array;
  try {
    request = encode();
  } catch (error) {
    // Too large for the sandbox.
    return { outcome: 'failed', problem: (error as Error).message, unchecked: false };
  }
  try {
    const engine = new PolicyEngine(yield* loadModule());
    engine.refuel(BigInt(fuel));
    return { engine, request };
  } catch (error) {
    const problem = `the policy engine is not available: ${(error as Error).message}`;
    return { outcome: 'failed', problem, unchecked: true };
  }
}

function attempt(work: () => string | undefined): Outcome | undefined {
  try {
    const text = work();
    return text === undefined ? undefined : { type: 'answer', text };
  } catch (error) {
    if (!(error instanceof EngineStopped)) throw error;
    return { type: 'stopped', exhausted: error.exhausted };
  }
}

/** Where the work awaits, the event loop gets a turn. */
function* turn(): Twin<void> {
  yield* step(
    () => undefined,
    () => new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined))),
  );
}
