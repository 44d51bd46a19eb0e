import { untilAbort, throwIfAborted } from '../abort.js';
import { CryptoTensorsError, quote } from '../errors.js';
import type { PolicyTexts } from '../format/crypto-metadata.js';
import type { Header } from '../format/header.js';
import { askPolicy, judgeTensors, mayRestrictTensors } from '../policy/evaluate.js';
import { buildPolicyInput, toPlain } from '../policy/input.js';
import type { PolicyInput, PolicyLicense } from '../policy/input.js';
import { enforce } from '../policy/verdict.js';
import type { Verdict } from '../policy/verdict.js';
import { isThenable } from '../options.js';
import { redactError } from '../redacted-error.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import type { Access } from './access.js';
import { userMetadata } from '../model/metadata.js';
import type { PolicyOptions } from './options.js';
import { TensorGuard } from '../model/tensor-guard.js';
import type { TensorJudge } from '../model/tensor-guard.js';
import { option, say } from '../wording.js';

type Evaluate = NonNullable<PolicyOptions['evaluate']>;

/**
 * Asks the policy of a file whose signature has been verified whether it may be opened (or whatever `action` says).
 *
 * @returns what it may say of single tensors; null if it says nothing about them
 * @throws PolicyDenied, PolicyError
 */
export function* runPolicy(
  policy: PolicyTexts,
  header: Header,
  signer: string | null,
  access: Access,
  license: PolicyLicense | undefined,
): Twin<TensorGuard | null> {
  const { policy: options, claims } = access.policy;
  const input = buildPolicyInput({
    action: access.action,
    claims: claims ?? {},
    env: options?.env,
    now: options?.now,
    license,
    model: { metadata: userMetadata(header) ?? {}, tensors: header.count, signer },
  });
  const restricts = mayRestrictTensors(policy.local);
  // The same facts for every tensor: those of the opening.
  const reading = { ...input, action: 'read' } as const;
  if (options?.evaluate !== undefined) {
    const { evaluate } = options;
    if (!(yield* askOther(evaluate, policy.local, input, access.signal))) throw deniedByOther('the file');
    return restricts ? new TensorGuard(header, otherJudge(evaluate, policy.local, reading)) : null;
  }
  const fuel = options?.fuel;
  yield* askPolicy(policy.local, { input, fuel, signal: access.signal });
  return restricts ? new TensorGuard(header, builtInJudge(policy.local, reading, fuel)) : null;
}

export function builtInJudge(policy: string, input: PolicyInput, fuel: number | undefined): TensorJudge {
  return {
    judge: (tensors, signal) => judgeTensors(policy, tensors, { input, fuel, signal }),
    enforce: (tensor, verdict, advice) => {
      enforce(verdict, { rule: 'allow_tensor', input: { ...input, tensor } }, advice);
    },
  };
}

/** Asks the caller's engine about each tensor by itself: only that knows whether it could answer for several. */
export function otherJudge(evaluate: Evaluate, policy: string, input: PolicyInput): TensorJudge {
  return {
    *judge(tensors, signal) {
      const verdicts: Verdict[] = [];
      for (const tensor of tensors) {
        throwIfAborted(signal);
        const allowed = yield* askOther(evaluate, policy, { ...input, tensor }, signal);
        verdicts.push(verdictOfOther(allowed));
      }
      return verdicts;
    },
    enforce({ name }, { outcome }, advice) {
      if (outcome !== 'allowed') throw deniedByOther(`tensor ${quote(name)}`, name, advice);
    },
  };
}

/** What another engine's answer comes to. */
export function verdictOfOther(allowed: boolean): Verdict {
  return allowed
    ? { outcome: 'allowed', found: 'true', fuel: null }
    : { outcome: 'denied', found: 'not true', fuel: null };
}

/** An engine of the caller's: it allows by exactly `true`, and whatever it throws is a refusal. */
export function* askOther(evaluate: Evaluate, policy: string, input: PolicyInput, signal?: AbortSignal): Twin<boolean> {
  try {
    const answer = yield* step<unknown>(
      () => {
        const result: unknown = evaluate(policy, toPlain(input));
        if (isThenable(result)) {
          // Nobody waits for it.
          Promise.resolve(result).catch(() => undefined);
          throw new CryptoTensorsError('PolicyError', 'it returned a promise; the Sync forms need an answer');
        }
        return result;
      },
      () => untilAbort(async () => evaluate(policy, toPlain(input)), signal),
    );
    return answer === true;
  } catch (cause) {
    throwIfAborted(signal);
    const tensor = input.tensor?.name;
    // Another's message may quote the claims: only this library's own words are repeated.
    const shown = redactError(cause);
    const reason = shown instanceof CryptoTensorsError ? shown.message : "what it threw is this error's cause";
    throw new CryptoTensorsError('PolicyError', say`${option('policy.evaluate')} failed: ${reason}`, {
      cause: shown,
      ...(tensor === undefined ? {} : { tensor }),
    });
  }
}

function deniedByOther(what: string, tensor?: string, advice?: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'PolicyDenied',
    say`${option('policy.evaluate')} did not answer true, so ${what} stays closed${advice === undefined ? '' : `. ${advice}`}`,
    tensor === undefined ? {} : { tensor },
  );
}
