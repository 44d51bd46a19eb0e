import { isRegExp } from 'node:util/types';
import { CryptoTensorsError, argumentError, quote, quoteInput } from '../errors.js';
import type { Dtype } from '../format/dtype.js';
import { compileGlob } from './glob.js';
import { option, say } from '../wording.js';

/** What a predicate is told about a tensor. */
export interface TensorSummary {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  byteLength: number;
}

/**
 * Which tensors: names, globs, a regular expression, a predicate, or a list of these. In a glob `*` and `**` stand for any characters,
 * `?` for one, `[a-z]` and `[!a-z]` for one of or none of those, `{a,b}` for either, and `\` takes its meaning from what follows. A glob
 * takes time linear in the length of a name; a regular expression is JavaScript's own, of which some take very long for names that
 * are made for it.
 */
export type TensorSelection = TensorPattern | readonly TensorPattern[];
export type TensorPattern = string | RegExp | ((tensor: TensorSummary) => boolean);

/**
 * The tensors that a selection picks, one flag per tensor; all of them without a selection.
 *
 * @throws {CryptoTensorsError} `InvalidOption` for a part of the selection that picks no tensor: a name that is misspelt
 * would otherwise leave a tensor unprotected without a word
 * @throws {TypeError} for anything else than names, regular expressions and functions
 */
export function selectTensors(selection: TensorSelection | undefined, tensors: readonly TensorSummary[]): boolean[] {
  if (selection === undefined) return tensors.map(() => true);
  const patterns: readonly unknown[] = Array.isArray(selection) ? selection : [selection];
  const selected = tensors.map(() => false);
  for (const pattern of patterns) {
    const matches = matcher(pattern, tensors);
    let any = false;
    for (const [i, tensor] of tensors.entries()) {
      if (matches(tensor)) {
        selected[i] = true;
        any = true;
      }
    }
    if (!any) throw nothingMatched(pattern, tensors);
  }
  if (patterns.length === 0) throw nothingMatched([], tensors);
  return selected;
}

function matcher(pattern: unknown, tensors: readonly TensorSummary[]): (tensor: TensorSummary) => boolean {
  if (typeof pattern === 'function')
    return (tensor) => (pattern as (tensor: TensorSummary) => unknown)(tensor) === true;
  if (isRegExp(pattern)) {
    // A `g` or `y` expression remembers where it stopped; a copy without them does not.
    const expression = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
    return ({ name }) => expression.test(name);
  }
  if (typeof pattern !== 'string') {
    throw argumentError('options.tensors', 'a name, a glob, a RegExp, a function or a list of these', pattern);
  }
  // A tensor may really be called `w[0]`: an exact name wins over its reading as a glob.
  if (tensors.some(({ name }) => name === pattern)) return ({ name }) => name === pattern;
  const glob = compileGlob(pattern, 'options.tensors');
  return ({ name }) => glob(name);
}

function nothingMatched(pattern: unknown, tensors: readonly TensorSummary[]): CryptoTensorsError {
  const what =
    typeof pattern === 'string'
      ? quoteInput(pattern)
      : isRegExp(pattern)
        ? quoteInput(String(pattern))
        : Array.isArray(pattern)
          ? 'an empty list'
          : 'the function';
  const some = tensors.slice(0, 3).map(({ name }) => quote(name));
  return new CryptoTensorsError(
    'InvalidOption',
    say`${option('tensors')}: ${what} selects none of the ${tensors.length} tensors${some.length > 0 ? ` (${some.join(', ')}${tensors.length > 3 ? ', ...' : ''})` : ''}`,
  );
}
