/** Every secret in every spelling at every argument and flag of every command: it is repeated on neither stream. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Command } from 'commander';
import { createProgram } from '#dist/cli/program.js';
import { run } from '#dist/cli/run.js';
import { join } from 'node:path';
import { temporaryFolder } from '../support/temporary.js';
import { issueLicense, makeFixture } from './entry-points.js';
import { secretsOf } from './spellings.js';

const folder = temporaryFolder();
const fixture = makeFixture(folder);
await issueLicense(fixture);
const { spellings, leaks } = secretsOf(fixture.keys);
const { model, plain, license } = fixture;
const keys = join(folder, 'keys.json');

/** What works, by command; what is missing in it is put there by its flags. */
const GOOD: Readonly<Record<string, readonly string[]>> = {
  keygen: ['-o', join(folder, 'new.json')],
  encrypt: [plain, join(folder, 'out.safetensors'), '-k', keys],
  decrypt: [model, join(folder, 'out.safetensors'), '-k', keys],
  inspect: [model],
  verify: [model, '-k', keys],
  'policy check': [model],
  'policy test': [join(folder, 'policy.rego'), join(folder, 'cases.json')],
  rewrap: [model, '-k', keys, '-n', keys, '-o', join(folder, 'out.safetensors')],
  'header detach': [model, join(folder, 'out.header')],
  'header attach': [model, model, join(folder, 'out.safetensors')],
  'license issue': [model, join(folder, 'out.license'), '-k', keys, '--to', keys],
  'license show': [license],
  'license verify': [license, '-k', keys],
  'license export-key': [license, '-k', keys, '-o', join(folder, 'out.json')],
  bench: [join(folder, 'missing.safetensors'), '-k', keys, '--rounds', '1'],
};

/** An id or a name that is given to what is made is public: it is in the file that it names, and printed. */
const PUBLIC = new Set(['keygen --enc-kid', 'keygen --sign-kid', 'keygen --kid', 'license issue --id']);

function* commands(command: Command, name = ''): Generator<[string, Command]> {
  if (command.commands.length === 0) yield [name, command];
  for (const inner of command.commands) yield* commands(inner, name === '' ? inner.name() : `${name} ${inner.name()}`);
}

const table = [...commands(createProgram())];

function* lines(name: string, command: Command, secret: string): Generator<string[]> {
  const path = name.split(' ');
  const good = GOOD[name]!;
  yield [...path, secret];
  yield [...path, ...good, secret];
  yield [...path, ...good, `--${secret}`];
  yield [...path, ...good, `-k${secret}`];
  for (const [i, word] of good.entries()) if (!word.startsWith('-')) yield [...path, ...good.with(i, secret)];
  for (const { long } of command.options) {
    if (PUBLIC.has(`${name} ${long!}`)) continue;
    for (const value of [[long!, secret], [`${long!}=${secret}`], [long!, `@${secret}`]])
      yield [...path, ...good, ...value];
  }
}

let output = '';

beforeAll(() => {
  const collect = (chunk: unknown): boolean => {
    output += String(chunk);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(collect);
  vi.spyOn(process.stderr, 'write').mockImplementation(collect);
  process.env.CRYPTOTENSORS_DEBUG = '1';
});

afterAll(() => {
  vi.restoreAllMocks();
  delete process.env.CRYPTOTENSORS_DEBUG;
});

test('every command is in the table', () => {
  expect(table.map(([name]) => name).sort()).toEqual(Object.keys(GOOD).sort());
});

test.each(['no command', ...table.map(([name]) => name)])(
  '%s',
  async (name) => {
    const command = table.find(([other]) => other === name)?.[1];
    const found: string[] = [];
    for (const secret of Object.values(spellings)) {
      const all =
        command === undefined
          ? [[secret], ['help', secret], ['policy', secret], [`--${secret}`]]
          : lines(name, command, secret);
      for (const line of all) {
        for (const json of [[], ['--json']]) {
          output = '';
          await run([...line, ...json]);
          if (leaks(output)) found.push(`${line.join(' ').slice(0, 200)} -> ${output.slice(0, 300)}`);
        }
      }
    }
    expect(found).toEqual([]);
  },
  240_000,
);

test('what goes wrong is told all the same', async () => {
  output = '';
  expect(await run(['verify', spellings.k!])).toBe(2);
  expect(output).toMatch(/a text of \d+ characters, not shown/);
  output = '';
  expect(await run(['bogus'])).toBe(2);
  expect(output).toContain("unknown command 'bogus'");
});
