/** Every option of every public function with values of wrong types: an error that names the option. */
import * as library from 'cryptotensors';
import { CryptoTensorsError } from 'cryptotensors';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';
import { entryPoints, issueLicense, makeFixture, outcomeOf } from './entry-points.js';
import type { EntryPoint } from './entry-points.js';

const fixture = makeFixture(temporaryFolder());
await issueLicense(fixture);
const table = await entryPoints(fixture);

/** By type. An option takes what is of one of the types that it has, so those are left out. */
const WRONG: Readonly<Record<string, unknown>> = {
  null: null,
  number: 7.5,
  string: '\0',
  boolean: true,
  bigint: 7n,
  symbol: Symbol('x'),
  function: () => undefined,
  array: [Symbol('x')],
  object: { unexpected: 1 },
  date: new Date(NaN),
  promise: Promise.resolve({}),
};

function* calls({ parameters }: EntryPoint): Generator<[option: string, type: string, args: unknown[]]> {
  for (const [i, { options }] of parameters.entries()) {
    for (const option of Object.keys(options ?? {})) {
      for (const [type, value] of Object.entries(WRONG)) {
        const args = parameters.map(({ good }, at) => (at === i ? { ...(good as object), [option]: value } : good));
        yield [option, type, args];
      }
    }
  }
}

/** What is of one of an option's own types, or can be told wrong only when it is used: by option, or by function and option. */
const ACCEPTS: Readonly<Record<string, readonly string[]>> = {
  onProgress: ['function'], onEvent: ['function'], allowPlain: ['boolean'], transfer: ['boolean'], durable: ['boolean'],
  shared: ['boolean'], map: ['boolean'], verify: ['boolean'], showValues: ['boolean'], detached: ['boolean'], force: ['boolean'], dryRun: ['boolean'],
  encKid: ['string'], signKid: ['string'], toKid: ['string'], kid: ['string'], name: ['string'], id: ['string'],
  tokenLabel: ['string'], module: ['string'], keyId: ['string'], ca: ['string'], claims: ['object'], clientConfig: ['object'],
  'explainPolicy tensors': ['boolean'], 'explainPolicySync tensors': ['boolean'], 'pkcs11KeyProvider pin': ['string', 'function'],
}; // prettier-ignore

test.each(table.map((entry) => [entry.name, entry] as const))('%s', async (_, entry) => {
  const problems: string[] = [];
  for (const [option, type, args] of calls(entry)) {
    if ([option, `${entry.name} ${option}`].some((key) => ACCEPTS[key]?.includes(type) === true)) continue;
    const { error } = await outcomeOf(entry, args);
    if (error === undefined) {
      problems.push(`${option} ${type}: accepted`);
      continue;
    }
    const { message } = error as Error;
    const ours = error instanceof TypeError || error instanceof CryptoTensorsError;
    const named = new RegExp(`\\b${option}\\b`).test(message);
    const raw = /Cannot read|is not a function|not iterable|Cannot convert/.test(message);
    if (!ours || !named || raw) problems.push(`${option} ${type}: ${message.slice(0, 130)}`);
  }
  expect(problems).toEqual([]);
});

test.each(['SafeFile', 'SafeSlice', 'Tensor', 'KeyRing'])('new %s() says how it is made', (name) => {
  const constructor = (library as unknown as Record<string, new (...args: unknown[]) => unknown>)[name]!;
  for (const args of [[], [{}, {}, {}, {}, {}], [null, undefined, Symbol('made by cryptotensors')]]) {
    expect(() => new constructor(...args)).toThrow(TypeError);
    expect(() => new constructor(...args)).toThrow(new RegExp(`${name} is made by`));
  }
});
