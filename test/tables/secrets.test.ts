/** Every secret in every spelling, where every argument and option of every public function belongs: it is repeated nowhere. */
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';
import { entryPoints, issueLicense, makeFixture, outcomeOf } from './entry-points.js';
import type { EntryPoint } from './entry-points.js';
import { secretsOf } from './spellings.js';

const fixture = makeFixture(temporaryFolder());
await issueLicense(fixture);
const table = await entryPoints(fixture);
const { spellings, leaks: leaksIn } = secretsOf(fixture.keys);

/** All that a program can get to see of an error. */
function seen(error: unknown, depth = 0): string {
  if (depth > 5 || error === undefined) return '';
  if (typeof error !== 'object' || error === null) return inspect(error);
  const { message, stack, cause } = error as Error;
  const fields = Object.getOwnPropertyNames(error).map((name) => {
    const value = (error as Record<string, unknown>)[name];
    return `${name}=${typeof value === 'string' ? value : inspect(value)}`;
  });
  return [message, stack, ...fields, inspect(error, { depth: 8, showHidden: true }), JSON.stringify(error), seen(cause, depth + 1)].join('\n'); // prettier-ignore
}

/** Values with the secret in them, in place of `good`. */
function* placements(good: unknown, secret: string): Generator {
  yield secret;
  yield [secret];
  yield { [secret]: secret };
  yield { name: secret, kid: secret, keys: secret };
  yield new Map([[secret, secret]]);
  if (typeof good !== 'object' || good === null) return;
  for (const member of Object.keys(good)) yield { ...good, [member]: secret };
}

function* calls({ parameters }: EntryPoint, secret: string): Generator<[where: string, args: unknown[]]> {
  for (const [i, { name, good, options }] of parameters.entries()) {
    const args = (value: unknown): unknown[] => parameters.map((other, j) => (i === j ? value : other.good));
    for (const value of placements(good, secret)) yield [name, args(value)];
    for (const [option, works] of Object.entries(options ?? {})) {
      for (const value of placements(works, secret))
        yield [`${name}.${option}`, args({ ...(good as object), [option]: value })];
    }
  }
}

test.each(table.map((entry) => [entry.name, entry] as const))(
  '%s',
  async (_, entry) => {
    const leaks = new Set<string>();
    for (const [spelling, secret] of Object.entries(spellings)) {
      for (const [where, args] of calls(entry, secret)) {
        const { error } = await outcomeOf(entry, args);
        if (leaksIn(seen(error))) leaks.add(`${where} (${spelling}): ${(error as Error).message.slice(0, 300)}`);
      }
    }
    expect([...leaks]).toEqual([]);
  },
  120_000,
);

test('the table throws errors at all', async () => {
  const safeOpen = table.find(({ name }) => name === 'safeOpen')!;
  const { error } = await outcomeOf(safeOpen, [spellings.k]);
  expect(error).toMatchObject({ code: 'InvalidOption' });
  expect((error as Error).message).toContain(`input is a text of ${spellings.k!.length} characters`);
  // Where the name of a file could look like a key, it is its path that is given.
  const elsewhere = join(fixture.folder, 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect((await outcomeOf(safeOpen, [elsewhere])).error).toMatchObject({ code: 'FileError', path: elsewhere });
});
