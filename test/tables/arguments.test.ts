/** Every public function with each argument missing, null and of a wrong type: an error that names the argument. */
import { expect, test } from 'vitest';
import { CryptoTensorsError } from 'cryptotensors';
import { temporaryFolder } from '../support/temporary.js';
import { entryPoints, issueLicense, makeFixture, outcomeOf, publicFunctions } from './entry-points.js';

const fixture = makeFixture(temporaryFolder());
await issueLicense(fixture);
const table = await entryPoints(fixture);

const WRONG: readonly unknown[] = [null, 7, true, Symbol('x'), () => undefined, new Date(0), Promise.resolve({})];

test('every public function and method is in the table', async () => {
  expect(table.map(({ name }) => name).sort()).toEqual((await publicFunctions(fixture)).sort());
});

// What a slice takes are ranges, of which null is one: test/read/parts.test.ts.
const others = table.filter(({ name }) => !name.startsWith('SafeSlice.read'));

test.each(others.map((entry) => [entry.name, entry] as const))('%s', async (_, entry) => {
  const problems: string[] = [];
  for (const [i, { name, good, optional }] of entry.parameters.entries()) {
    const before = (): unknown[] => entry.parameters.slice(0, i).map(({ good }) => good);
    const after = (): unknown[] => entry.parameters.slice(i + 1).map(({ good }) => good);
    const calls: [string, unknown[]][] = WRONG.filter(
      (value) => typeof good !== 'number' || typeof value !== 'number',
    ).map((value) => [String(value), [...before(), value, ...after()]]);
    if (optional !== true) calls.push(['missing', [...before(), undefined, ...after()]]);
    for (const [what, args] of calls) {
      const { error } = await outcomeOf(entry, args);
      if (error === undefined) {
        problems.push(`${name} ${what}: accepted`);
        continue;
      }
      const { message, option } = error as Error & { option?: string };
      const ours = error instanceof TypeError || error instanceof CryptoTensorsError;
      const named =
        new RegExp(`\\b${name}\\b`).test(message) && !/Cannot read|is not a function|not iterable/.test(message);
      if (!ours || !named) problems.push(`${name} ${what}: ${message.slice(0, 150)}`);
      // What a message says of an option at its beginning, a field says too.
      const blamed = /^options\.([a-z]+(?:\.[a-zA-Z]+)*)/.exec(message)?.[1];
      if (blamed !== undefined && option?.startsWith(blamed) !== true) problems.push(`${name} ${what}: ${option}`);
    }
  }
  expect(problems).toEqual([]);
});
