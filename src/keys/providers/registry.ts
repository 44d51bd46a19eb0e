import { CryptoTensorsError, argumentError, quote, quoteInput } from '../../errors.js';
import { refuseSecretName } from './arguments.js';
import { checkInteger, ownOptions, memberOf } from '../../options.js';
import { envKeyProvider } from './env.js';
import { PROVIDER_PRIORITY, isKeyProvider } from './types.js';
import type { KeyProvider } from './types.js';

/** What is known of a registered provider. */
export interface KeyProviderInfo {
  readonly name: string;
  readonly priority: number;
  readonly enabled: boolean;
}

interface Entry {
  readonly provider: KeyProvider;
  readonly priority: number;
  enabled: boolean;
}

const MAX_PRIORITY = 1_000_000;

/** By name, in the order of registration, which is also the order among equal priorities. */
const entries = new Map<string, Entry>();
registerKeyProvider(envKeyProvider);

/**
 * Registers a provider that is asked for keys wherever no `keys` option is given, in this thread. Providers are asked in
 * falling priority, see `PROVIDER_PRIORITY`; default: the provider's own, else that of `native`.
 *
 * @throws {TypeError} if it is not a provider
 * @throws {CryptoTensorsError} `InvalidOption` if the name is taken
 */
export function registerKeyProvider(provider: KeyProvider, options: { priority?: number } = {}): void {
  checkProvider(provider);
  const own = ownOptions<{ priority?: number }>(options, ['priority'], 'registerKeyProvider');
  const { priority = memberOf(provider, 'priority') ?? PROVIDER_PRIORITY.native } = own;
  checkInteger(priority, 'options.priority', -MAX_PRIORITY, MAX_PRIORITY);
  if (entries.has(provider.name)) {
    throw new CryptoTensorsError(
      'InvalidOption',
      `a key provider named ${quoteInput(provider.name)} is registered already: unregister it first, or choose another name`,
    );
  }
  entries.set(provider.name, { provider, priority, enabled: true });
}

/** Takes a provider out of the registry and returns it, to be registered again or not; undefined if there is none. */
export function unregisterKeyProvider(name: string): KeyProvider | undefined {
  requireName(name);
  const entry = entries.get(name);
  entries.delete(name);
  return entry?.provider;
}

/**
 * Leaves a provider out until `enableKeyProvider`; it keeps its place.
 *
 * @throws {CryptoTensorsError} `InvalidOption` if there is none of that name
 */
export function disableKeyProvider(name: string): void {
  findEntry(name).enabled = false;
}

/**
 * Puts a disabled provider back in its place.
 *
 * @throws {CryptoTensorsError} `InvalidOption` if there is none of that name
 */
export function enableKeyProvider(name: string): void {
  findEntry(name).enabled = true;
}

/** The registered providers in the order in which they are asked. The built-in one, `env`, is among them. */
export function listKeyProviders(): KeyProviderInfo[] {
  return inOrder().map(({ provider: { name }, priority, enabled }) => ({ name, priority, enabled }));
}

/** The providers that can be asked now, in order. */
export function configuredProviders(): KeyProvider[] {
  return inOrder()
    .filter(({ provider, enabled }) => enabled && isConfigured(provider))
    .map(({ provider }) => provider);
}

function isConfigured(provider: KeyProvider): boolean {
  return memberOf(provider, 'isConfigured') === undefined || provider.isConfigured!();
}

function inOrder(): Entry[] {
  return [...entries.values()].sort((a, b) => b.priority - a.priority);
}

function requireName(name: unknown): void {
  if (typeof name !== 'string') throw argumentError('name', 'a string, the name of a key provider', name);
}

function findEntry(name: string): Entry {
  requireName(name);
  const entry = entries.get(name);
  if (entry !== undefined) return entry;
  const known = [...entries.keys()].map(quote).join(', ');
  throw new CryptoTensorsError(
    'InvalidOption',
    `no key provider is named ${quoteInput(name)}; registered: ${known || 'none'}`,
  );
}

/** @throws TypeError */
export function checkProvider(provider: unknown, name = 'provider'): asserts provider is KeyProvider {
  if (typeof provider !== 'object' || provider === null || !isKeyProvider(provider)) {
    throw argumentError(name, 'a KeyProvider: an object with a name and a find or findSync function', provider);
  }
  if (typeof provider.name !== 'string' || provider.name === '') {
    throw argumentError(`${name}.name`, 'a string that is not empty', provider.name);
  }
  refuseSecretName(provider.name, `${name}.name`);
  checkInteger(memberOf(provider, 'timeoutMs'), `${name}.timeoutMs`, 1, 2 ** 31 - 1);
}
