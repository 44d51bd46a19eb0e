/** Globs over the names of tensors: what they mean, and that no name takes more than linear time. */
import { generateKeys, saveSync } from 'cryptotensors';
import { compileGlob } from '#dist/writer/glob.js';
import { expect, test } from 'vitest';
import { refusal } from '../support/errors.js';

const TABLE: [pattern: string, matching: string[], others: string[]][] = [
  ['encoder.*.weight', ['encoder.0.weight', 'encoder.layer.11.weight', 'encoder..weight'], ['encoder.weight', 'encoder.0.bias', 'xencoder.0.weight', 'encoder.0.weights']],
  ['**.bias', ['a.bias', 'a/b.bias', '.bias', 'a\nb.bias'], ['bias', 'a.biased']],
  ['*', ['', 'a', 'a/b', '.hidden', '🦙'], []],
  ['a?c', ['abc', 'a/c', 'a🦙c', 'a.c'], ['ac', 'abbc']],
  ['layer.[0-3]', ['layer.0', 'layer.3'], ['layer.4', 'layer.', 'layer.10', 'layer.-']],
  ['[!a-c]x', ['dx', '!x', '🦙x'], ['ax', 'cx', 'x']],
  ['[^a]', ['b', '^'], ['a', '']],
  ['[]a]', [']', 'a'], ['[', '']],
  ['[!]a]', ['b'], [']', 'a']],
  ['[a-]', ['a', '-'], ['b']],
  ['[\\]x]', [']', 'x'], ['\\']],
  ['[z-a]', [], ['a', 'm', 'z']],
  ['{q,k,v}.weight', ['q.weight', 'k.weight', 'v.weight'], ['o.weight', 'qk.weight', '.weight']],
  ['{a,{b,c*}d,}x', ['ax', 'bdx', 'cdx', 'cccdx', 'x'], ['bx', 'dx']],
  ['{a,b}{c,d}', ['ac', 'ad', 'bc', 'bd'], ['a', 'abcd']],
  ['{a,[,}]}', ['a', ',', '}'], ['{a,[,}]}']],
  ['a{b}c', ['a{b}c'], ['abc']],
  ['w[0', ['w[0'], ['w0']],
  ['{a,b', ['{a,b'], ['a', 'b']],
  ['a}b,c', ['a}b,c'], []],
  ['\\*\\?\\{a,b\\}', ['*?{a,b}'], ['xx', 'a']],
  ['a\\', ['a\\'], ['a']],
  ['a.c+(b)|d$^', ['a.c+(b)|d$^'], ['abc']],
  ['__proto__', ['__proto__'], ['constructor']],
]; // prettier-ignore

test.each(TABLE)('%s', (pattern, matching, others) => {
  const matches = compileGlob(pattern, 'options.tensors');
  for (const name of matching) expect(matches(name), name).toBe(true);
  for (const name of others) expect(matches(name), name).toBe(false);
});

const LONG = 40_000;
const HOSTILE: [pattern: string, name: string][] = [
  [`${'*a'.repeat(20)}*b`, 'a'.repeat(LONG)],
  [`${'*?'.repeat(20)}b`, 'a'.repeat(LONG)],
  [`${'{a,a*}'.repeat(20)}b`, 'a'.repeat(LONG)],
  [`${'{a,b,{c,d}}'.repeat(20)}*b`, 'abcd'.repeat(LONG / 4)],
  [`${'*[a-z]'.repeat(20)}!`, 'q'.repeat(LONG)],
  [`${'**/'.repeat(20)}x`, '/'.repeat(LONG)],
];

test.each(HOSTILE)('%s takes a hostile name in one pass', (pattern, name) => {
  const matches = compileGlob(pattern, 'options.tensors');
  const timed = (text: string): number => {
    const started = performance.now();
    expect(matches(text)).toBe(false);
    return performance.now() - started;
  };
  timed(name.slice(0, LONG / 8));
  // A regular expression takes longer than the sun will shine; twenty times the name's eighth would be far more than linear.
  const eighth = Math.max(...Array.from({ length: 5 }, () => timed(name.slice(0, LONG / 8))));
  expect(timed(name)).toBeLessThan(Math.max(20 * eighth, 500));
});

test('as an option: one hostile name among the tensors of a file, every pattern', async () => {
  const data = new Uint8Array(1);
  const tensors = Object.fromEntries(
    ['plain', ...HOSTILE.map(([, name]) => name)].map((name) => [name, { shape: [1], data }]),
  );
  const keys = generateKeys();
  for (const [pattern] of HOSTILE) {
    const error = await refusal('InvalidOption', () => saveSync(tensors, { keys, tensors: ['plain', pattern] }));
    expect(error.message).toContain('selects none');
  }
});

test('a pattern is bounded, and deep ones are read', async () => {
  const tensors = { weight: { shape: [1], data: new Uint8Array(1) } };
  const options = { keys: generateKeys(), tensors: '*'.repeat(4_097) };
  const error = await refusal('InvalidOption', () => saveSync(tensors, options));
  expect(error.message).toContain('4096');
  const deep = `${'{a,'.repeat(1_000)}b${'}'.repeat(1_000)}`;
  expect(compileGlob(deep, 'options.tensors')('b')).toBe(true);
  expect(compileGlob(deep, 'options.tensors')('c')).toBe(false);
});
