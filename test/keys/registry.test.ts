import { KeyRing, hasKeySources } from '#dist/keys/keyring.js';
import { loadKeyRing, loadKeyRingSync } from '#dist/keys/load.js';
import {
  disableKeyProvider,
  enableKeyProvider,
  listKeyProviders,
  registerKeyProvider,
  unregisterKeyProvider,
} from '#dist/keys/providers/registry.js';
import { directKeyProvider } from '#dist/keys/providers/direct.js';
import { fileKeyProvider } from '#dist/keys/providers/file.js';
import { PROVIDER_PRIORITY } from '#dist/keys/providers/types.js';
import type { KeyProvider } from '#dist/keys/providers/types.js';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { FakeEngine } from './fake-engine.js';
import { MASTER, expectNoMaterial, json, refusal, ringOf } from './support.js';

const fake = new FakeEngine();
const provider = (name: string, more: Partial<KeyProvider> = {}): KeyProvider => ({
  name,
  findSync: () => null,
  ...more,
});
const names = (): string[] => listKeyProviders().map(({ name }) => name);

afterEach(() => {
  for (const name of names()) if (name !== 'env') unregisterKeyProvider(name);
  enableKeyProvider('env');
  vi.unstubAllEnvs();
});

describe('the registry', () => {
  test('has the environment as the last resort', () => {
    expect(listKeyProviders()).toEqual([{ name: 'env', priority: 0, enabled: true }]);
  });

  test("orders providers by priority, the reference's by default", () => {
    registerKeyProvider(provider('mine'));
    registerKeyProvider(fileKeyProvider(['/etc/keys.json'], fake.engine));
    registerKeyProvider(directKeyProvider(ringOf(fake.engine, MASTER)));
    registerKeyProvider(provider('last'), { priority: -5 });
    registerKeyProvider(provider('own', { priority: 70 }));
    expect(PROVIDER_PRIORITY).toEqual({ direct: 100, native: 50, file: 10, env: 0 });
    expect(listKeyProviders().map(({ name, priority }) => [name, priority])).toEqual([
      ['direct', 100],
      ['own', 70],
      ['mine', 50],
      ['file', 10],
      ['env', 0],
      ['last', -5],
    ]);
    expectNoMaterial(listKeyProviders());
  });

  test('keeps the order of registration among equals', () => {
    for (const name of ['c', 'a', 'b']) registerKeyProvider(provider(name));
    expect(names()).toEqual(['c', 'a', 'b', 'env']);
  });

  test('loses nothing when a provider is disabled and enabled again', () => {
    for (const name of ['a', 'b', 'c']) registerKeyProvider(provider(name), { priority: 20 });
    const before = listKeyProviders();
    disableKeyProvider('b');
    disableKeyProvider('b');
    expect(listKeyProviders().map(({ enabled }) => enabled)).toEqual([true, false, true, true]);
    expect(loadKeyRingSync(undefined, fake.engine).providers).toEqual(['a', 'c']);
    enableKeyProvider('b');
    expect(listKeyProviders()).toEqual(before);
    expect(loadKeyRingSync(undefined, fake.engine).providers).toEqual(['a', 'b', 'c']);
  });

  test('gives a provider back that is taken out', () => {
    const mine = provider('__proto__');
    registerKeyProvider(mine);
    expect(unregisterKeyProvider('__proto__')).toBe(mine);
    expect(unregisterKeyProvider('__proto__')).toBeUndefined();
    expect(names()).toEqual(['env']);
  });

  test('takes each name once', async () => {
    registerKeyProvider(provider('vault'));
    const error = await refusal('InvalidOption', () => registerKeyProvider(provider('vault')));
    expect(error.message).toContain('"vault" is registered already');
    await refusal('InvalidOption', () => registerKeyProvider(provider('env')));
  });

  test('does not know others', async () => {
    const error = await refusal('InvalidOption', () => disableKeyProvider('constructor'));
    expect(error.message).toContain('registered: "env"');
    await refusal('InvalidOption', () => enableKeyProvider('vault'));
  });

  const wrong: [string, unknown, string][] = [
    ['nothing', undefined, 'provider must be a KeyProvider'],
    ['null', null, 'provider must be a KeyProvider'],
    ['no method', { name: 'x' }, 'provider must be a KeyProvider'],
    ['methods that are none', { name: 'x', find: 1, findSync: {} }, 'provider must be a KeyProvider'],
    ['no name', { find: () => null }, 'provider.name must be a string'],
    ['an empty name', { name: '', find: () => null }, 'provider.name must be a string'],
    ['a time that is text', { name: 'x', find: () => null, timeoutMs: '5' }, 'provider.timeoutMs must be a number'],
    ['a priority that is text', { name: 'x', find: () => null, priority: 'high' }, 'options.priority must be a number'],
  ];
  test.each(wrong)('refuses as a provider: %s', (_, value, message) => {
    expect(() => registerKeyProvider(value as KeyProvider)).toThrow(TypeError);
    expect(() => registerKeyProvider(value as KeyProvider)).toThrow(message);
  });

  test('refuses a misspelt option, and priorities and times that are no such thing', async () => {
    expect(() => registerKeyProvider(provider('x'), { prio: 1 } as object)).toThrow('unknown option "prio"');
    await refusal('InvalidOption', () => registerKeyProvider(provider('x'), { priority: Number.NaN }));
    await refusal('InvalidOption', () => registerKeyProvider(provider('x', { timeoutMs: 0 })));
    expect(names()).toEqual(['env']);
  });
});

describe('with no keys option', () => {
  test('there is nothing where nothing is configured', async () => {
    vi.stubEnv('CRYPTOTENSOR_KEYS', undefined);
    const ring = await loadKeyRing(undefined, fake.engine);
    expect(ring).toBeInstanceOf(KeyRing);
    expect(hasKeySources(ring)).toBe(false);
  });

  test.each(['', ' \n'])('CRYPTOTENSOR_KEYS=%j is as good as none', (value) => {
    vi.stubEnv('CRYPTOTENSOR_KEYS', value);
    expect(hasKeySources(loadKeyRingSync(undefined, fake.engine))).toBe(false);
  });

  test('the environment counts as configured once it is set, also to nonsense', () => {
    vi.stubEnv('CRYPTOTENSOR_KEYS', 'nonsense');
    const ring = loadKeyRingSync(undefined, fake.engine);
    expect(hasKeySources(ring)).toBe(true);
    expect(ring.providers).toEqual(['env']);
    disableKeyProvider('env');
    expect(hasKeySources(loadKeyRingSync(undefined, fake.engine))).toBe(false);
  });

  test('a provider that has nothing to ask is left out', () => {
    vi.stubEnv('CRYPTOTENSOR_KEYS', undefined);
    registerKeyProvider(provider('idle', { isConfigured: () => false }));
    registerKeyProvider(fileKeyProvider([], fake.engine));
    expect(loadKeyRingSync(undefined, fake.engine).providers).toEqual([]);
  });

  test('nothing of the registry is used where keys are given', () => {
    vi.stubEnv('CRYPTOTENSOR_KEYS', new TextDecoder().decode(json(MASTER)));
    registerKeyProvider(provider('vault'));
    expect(loadKeyRingSync([], fake.engine).providers).toEqual([]);
    expect(loadKeyRingSync(MASTER, fake.engine).providers).toEqual([]);
  });
});

describe('built-in providers check their arguments', () => {
  test('paths', async () => {
    expect(() => fileKeyProvider('keys.json' as unknown as string[], fake.engine)).toThrow(
      'paths must be a list of paths',
    );
    expect(() => fileKeyProvider([7 as unknown as string], fake.engine)).toThrow('paths[0] must be a path');
    await refusal('InvalidOption', () => fileKeyProvider(['a.json', ''], fake.engine));
  });

  test('a ring', () => {
    expect(() => directKeyProvider(MASTER as unknown as KeyRing)).toThrow('ring must be a KeyRing');
  });
});
