import { throwIfAborted } from '../../abort.js';
import { CryptoTensorsError, quote } from '../../errors.js';
import type { Engine } from '../../engine/types.js';
import { isThenable, memberOf } from '../../options.js';
import { redactError } from '../../redacted-error.js';
import { step } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { isTransient, keyUnavailable } from '../unavailable.js';
import { withDeadline } from './deadline.js';
import { discardAnswer, readAnswer } from './answer.js';
import type { Answered } from './answer.js';
import type { KeyAnswer, KeyProvider, KeySelector } from './types.js';

export const DEFAULT_PROVIDER_TIMEOUT_MS = 10_000;

export interface LookUpOptions {
  readonly engine: Engine;
  readonly signal?: AbortSignal | undefined;
}

/** A provider that could not answer. `reason` is fit for a message; `error` is what the provider threw, redacted. */
export interface ProviderFailure {
  readonly provider: KeyProvider;
  readonly reason: string;
  readonly error: Error;
  readonly retryable: boolean;
}

/** Of a provider that has no keys for what is asked. */
const NOTHING: Answered = { masterKeys: [], signingKeys: [], recipientKeys: [], owned: [] };

/**
 * Asks one provider. Whatever goes wrong on its side is its failure to answer, so that the next one can be asked; only the
 * caller's own abort is thrown.
 *
 * @throws AbortError
 */
export function* askProvider(
  provider: KeyProvider,
  selector: KeySelector,
  { engine, signal }: LookUpOptions,
): Twin<Answered | ProviderFailure> {
  if (memberOf(provider, 'roles')?.includes(selector.role) === false) return NOTHING;
  try {
    const answer = yield* step(
      () => askSync(provider, selector),
      () => askAsync(provider, selector, { engine, signal }),
    );
    return readAnswer(answer, provider, selector, engine);
  } catch (error) {
    throwIfAborted(signal);
    const redacted = redactError(error);
    return { provider, reason: describeFailure(redacted), error: redacted, retryable: isTransient(error) };
  }
}

/** @throws KeyUnavailable if the provider cannot be asked that way; whatever it throws */
export function askSync(provider: KeyProvider, selector: KeySelector): KeyAnswer {
  if (memberOf(provider, 'findSync') === undefined) {
    throw keyUnavailable('it has no findSync: only the functions without Sync can ask it');
  }
  const answer: unknown = provider.findSync!(selector);
  if (!isThenable(answer)) return answer as KeyAnswer;
  // Nobody waits for it: that it is rejected must not end the process.
  Promise.resolve(answer).catch(() => undefined);
  throw keyUnavailable(
    'its findSync returned a promise, but must return the answer itself: only find may return a promise',
  );
}

/** Waits no longer than the provider's deadline. @throws KeyUnavailable, AbortError; whatever the provider throws */
export async function askAsync(
  provider: KeyProvider,
  selector: KeySelector,
  { engine, signal }: LookUpOptions,
): Promise<KeyAnswer> {
  return withDeadline<KeyAnswer>(
    (stop) => {
      const answer = memberOf(provider, 'find') === undefined ? undefined : provider.find!(selector, { signal: stop });
      return answer ?? (memberOf(provider, 'findSync') === undefined ? undefined : provider.findSync!(selector));
    },
    {
      timeoutMs: memberOf(provider, 'timeoutMs') ?? DEFAULT_PROVIDER_TIMEOUT_MS,
      signal,
      late: (answer) => discardAnswer(answer, provider, engine),
    },
  );
}

/** Only this library's own words are repeated: another's message might quote a key. */
function describeFailure(error: Error): string {
  if (error instanceof CryptoTensorsError) return error.message;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? `it failed with ${quote(code)}` : 'it failed';
}
