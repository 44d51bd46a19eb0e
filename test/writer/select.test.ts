import { describe, expect, test } from 'vitest';
import { selectTensors } from '#dist/writer/select.js';
import type { TensorSelection } from '#dist/writer/select.js';
import { refusal } from '../support/errors.js';

const tensors = ['encoder.0.weight', 'encoder.0.bias', 'encoder.1.weight', 'embed/weight', 'w[0]', '__proto__'].map(
  (name) => ({
    name,
    dtype: 'F32' as const,
    shape: [2],
    byteLength: 8,
  }),
);

function picked(selection: TensorSelection | undefined): string[] {
  const flags = selectTensors(selection, tensors);
  return tensors.flatMap(({ name }, i) => (flags[i] === true ? [name] : []));
}

describe('selectTensors', () => {
  test.each<[string, TensorSelection | undefined, string[]]>([
    ['nothing given: all', undefined, tensors.map(({ name }) => name)],
    ['an exact name', 'encoder.0.bias', ['encoder.0.bias']],
    ['a name that looks like a glob', 'w[0]', ['w[0]']],
    ['a name that looks like a prototype', '__proto__', ['__proto__']],
    ['a glob', 'encoder.*.weight', ['encoder.0.weight', 'encoder.1.weight']],
    ['a glob over folders', '**/weight', ['embed/weight']],
    ['braces', 'encoder.{0,1}.weight', ['encoder.0.weight', 'encoder.1.weight']],
    ['a regular expression with a memory', /\.weight$/g, ['encoder.0.weight', 'encoder.1.weight']],
    ['a predicate', ({ name }) => name.length === 4, ['w[0]']],
    ['a list', ['w[0]', /bias/], ['encoder.0.bias', 'w[0]']],
  ])('%s', (_, selection, expected) => {
    expect(picked(selection)).toEqual(expected);
  });

  test.each<[string, TensorSelection]>([
    ['a misspelt name', 'encoder.0.wieght'],
    ['one of several', ['w[0]', 'nope.*']],
    ['an empty list', []],
    ['a predicate that only returns truthy values', (() => 'yes') as never],
  ])('refuses what selects nothing: %s', async (_, selection) => {
    await refusal('InvalidOption', () => picked(selection));
  });

  test('names the argument of the wrong type', () => {
    expect(() => picked(7 as never)).toThrow(/options\.tensors must be .* not number 7/);
  });
});
