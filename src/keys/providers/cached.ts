import { DISPOSE } from '../../disposal.js';
import { CryptoTensorsError, quote } from '../../errors.js';
import { checkInteger, ownOptions, membersOf } from '../../options.js';
import type { Engine } from '../../engine/types.js';
import { selectedKeys } from '../copy.js';
import type { KeyRing } from '../keyring.js';
import { ringContents } from '../keyring.js';
import { AnswerCache } from './answer-cache.js';
import { readAnswer } from './answer.js';
import { DEFAULT_PROVIDER_TIMEOUT_MS, askAsync, askSync } from './ask.js';
import { checkProviderName } from './arguments.js';
import { SingleFlight } from './flights.js';
import { handOver } from './material.js';
import { checkProvider } from './registry.js';
import type { KeyAnswer, KeyProvider, KeyRole, KeySelector } from './types.js';

export interface CacheOptions {
  /** How long an answer serves, in milliseconds. Default 300,000: five minutes. */
  ttlMs?: number;
  /** Answers kept at the most; the least recently used goes first. Default 256. */
  maxEntries?: number;
  /** Its name in the registry and in messages. Default: that of the provider behind it. */
  name?: string;
}

/** A provider that keeps keys in native memory for a while. */
export interface CachedKeyProvider extends KeyProvider {
  find(selector: KeySelector, options: { signal: AbortSignal }): Promise<KeyAnswer>;
  findSync(selector: KeySelector): KeyAnswer;
  /** Wipes what is kept: the next question goes to the provider behind it. */
  clear(): void;
  /** Wipes what is kept, for good. Files that are open already are not affected. */
  dispose(): void;
  [DISPOSE](): void;
  /** Its name only. */
  toString(): string;
}

export const DEFAULT_TTL_MS = 300_000;
const DEFAULT_MAX_ENTRIES = 256;
const MAX_MAX_ENTRIES = 100_000;
/** The longest that a timer can wait. */
export const MAX_TTL_MS = 2 ** 31 - 1;

/**
 * A provider in front of another, which remembers its answers: in native memory, for `ttlMs`, wiped when they go. Callers that
 * ask for the same at the same time are served by one question. Only keys that fit the question are kept; an answer without
 * one, or a failure, is not, so that a new key is found at once and a hostile header's kids push nothing out.
 *
 * @throws TypeError, InvalidOption
 */
export function cachedKeyProvider(
  provider: KeyProvider,
  options: CacheOptions = {},
  engine: Engine,
): CachedKeyProvider {
  checkProvider(provider);
  const own = ownOptions<CacheOptions>(options, ['ttlMs', 'maxEntries', 'name'], 'cachedKeyProvider');
  const { ttlMs = DEFAULT_TTL_MS, maxEntries = DEFAULT_MAX_ENTRIES, name } = own;
  checkInteger(ttlMs, 'options.ttlMs', 1, MAX_TTL_MS);
  checkInteger(maxEntries, 'options.maxEntries', 1, MAX_MAX_ENTRIES);
  checkProviderName(name);
  return new CachingProvider(provider, new AnswerCache(ttlMs, maxEntries), 'selected', engine, name ?? provider.name);
}

/**
 * `selected`: an answer serves the question that it was given to. `all`: the provider answers with all keys that it has,
 * whatever the question, and one answer serves every question.
 */
type Scope = 'selected' | 'all';

/** The provider that `cachedKeyProvider` and `httpsKeyProvider` are. */
export class CachingProvider implements CachedKeyProvider {
  readonly #flights = new SingleFlight<KeyRing>();
  #disposed = false;
  readonly name: string;
  readonly priority?: number;
  readonly timeoutMs: number;
  readonly isConfigured?: () => boolean;
  readonly roles?: readonly KeyRole[];
  readonly #source: KeyProvider;
  readonly #cache: AnswerCache;
  readonly #scope: Scope;
  readonly #engine: Engine;

  constructor(source: KeyProvider, cache: AnswerCache, scope: Scope, engine: Engine, name: string) {
    this.#source = source;
    this.#cache = cache;
    this.#scope = scope;
    this.#engine = engine;
    this.name = name;
    const { timeoutMs, priority, roles, isConfigured } = membersOf(source, [
      'timeoutMs',
      'priority',
      'roles',
      'isConfigured',
    ]);
    this.timeoutMs = timeoutMs ?? DEFAULT_PROVIDER_TIMEOUT_MS;
    if (priority !== undefined) this.priority = priority;
    if (roles !== undefined) this.roles = roles;
    if (isConfigured !== undefined) this.isConfigured = () => source.isConfigured!();
  }

  async find(selector: KeySelector, { signal }: { signal: AbortSignal }): Promise<KeyAnswer> {
    this.#checkOpen();
    const name = this.#nameOf(selector);
    const kept =
      this.#cache.get(name) ??
      (await this.#flights.join(name, signal, async (stop) => {
        const answer = await askAsync(this.#source, selector, { engine: this.#engine, signal: stop });
        return this.#keep(name, selector, answer);
      }));
    return this.#copy(kept, selector);
  }

  findSync(selector: KeySelector): KeyAnswer {
    this.#checkOpen();
    const name = this.#nameOf(selector);
    const kept = this.#cache.get(name) ?? this.#keep(name, selector, askSync(this.#source, selector));
    return this.#copy(kept, selector);
  }

  clear(): void {
    this.#cache.clear();
  }

  dispose(): void {
    this.#disposed = true;
    this.#cache.clear();
  }

  [DISPOSE](): void {
    this.dispose();
  }

  toString(): string {
    return `KeyProvider(${quote(this.name)})`;
  }

  toJSON(): string {
    return this.toString();
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  #nameOf({ role, kid, jku, algorithm }: KeySelector): string {
    return this.#scope === 'all' ? '' : JSON.stringify([role, kid, jku, algorithm]);
  }

  /** Reads an answer and remembers what is worth it. */
  #keep(name: string, selector: KeySelector, answer: KeyAnswer): KeyRing {
    const answered = readAnswer(answer, this.#source, selector, this.#engine);
    const loose = new Set(answered.owned);
    let ring: KeyRing;
    try {
      const wanted = this.#scope === 'all' ? null : selector;
      ring = selectedKeys(answered, wanted, this.#engine, (secret) => loose.delete(secret));
    } finally {
      for (const secret of loose) secret.dispose();
    }
    const { masterKeys, signingKeys, recipientKeys } = ringContents(ring);
    const found = masterKeys.length + signingKeys.length + recipientKeys.length;
    if (this.#disposed) ring.dispose();
    else if (this.#scope === 'all' || found > 0) this.#cache.set(name, ring);
    return ring;
  }

  /** What is handed out is a copy: it may be in use when the cache wipes its own. */
  #copy(ring: KeyRing, selector: KeySelector): KeyRing {
    return handOver(selectedKeys(ringContents(ring), selector, this.#engine));
  }

  #checkOpen(): void {
    if (!this.#disposed) return;
    throw new CryptoTensorsError('Closed', `the key provider ${quote(this.name)} was disposed`);
  }
}
