import { CryptoTensorsError } from '../errors.js';
import { named, say } from '../wording.js';

/*
 * Globs over the names of tensors and of files. The names come from files, so matching one takes time linear in its length, whatever it and the
 * pattern are: the pattern becomes a nondeterministic automaton that goes through the name once (Thompson). A translation to a
 * regular expression would try again and again: `*a*a*a*b` is a matter of minutes for some names.
 *
 * `*` and `**` stand for any characters, also `/` and none; `?` for one; `[abc]`, `[a-z]`, `[!a]` and
 * `[^a]` for one of, or none of, those; `{a,b}` for either, and may be nested; `\` takes its meaning from the character after it.
 * A bracket or brace that is not closed, and a brace without a comma, mean themselves.
 */

const MAX_PATTERN_LENGTH = 4_096;

type Accepts = (character: string) => boolean;

/** A state: with `accepts`, it goes on to `next` by one character; without, to all of `next` at once. */
interface State {
  readonly accepts: Accepts | null;
  readonly next: readonly number[];
}

const END = 0;

/**
 * @param name of the option that the pattern is from
 * @throws {CryptoTensorsError} `InvalidOption` for a pattern of more than 4,096 characters
 */
export function compileGlob(pattern: string, name: string): (text: string) => boolean {
  if (pattern.length > MAX_PATTERN_LENGTH) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${named(name)}: a glob may have ${MAX_PATTERN_LENGTH} characters, not ${pattern.length}. Use a function`,
      { expected: `at most ${MAX_PATTERN_LENGTH}`, found: String(pattern.length) },
    );
  }
  const states: State[] = [{ accepts: null, next: [] }];
  const start = addStates(parse(Array.from(pattern)), END, states);
  return (text) => matches(states, start, text);
}

type Token = Accepts | 'any' | Group;
/** Of alternatives, each a list of tokens. */
type Group = readonly (readonly Token[])[];

function parse(characters: readonly string[]): Token[] {
  const structure = findStructure(characters);
  const open: { outer: Token[]; alternatives: Token[][] }[] = [];
  let tokens: Token[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    const group = structure.has(at) ? open.at(-1) : undefined;
    if (character === '{' && structure.has(at)) {
      open.push({ outer: tokens, alternatives: [] });
      tokens = [];
    } else if (character === ',' && group !== undefined) {
      group.alternatives.push(tokens);
      tokens = [];
    } else if (character === '}' && group !== undefined) {
      open.pop();
      group.outer.push([...group.alternatives, tokens]);
      tokens = group.outer;
    } else {
      const { token, end } = parseOne(characters, at);
      if (token !== 'any' || tokens.at(-1) !== 'any') tokens.push(token);
      at = end;
    }
  }
  return tokens;
}

/** The places of the braces that are closed and have a comma, and of their commas. */
function findStructure(characters: readonly string[]): ReadonlySet<number> {
  const structure = new Set<number>();
  const open: { start: number; commas: number[] }[] = [];
  for (let at = 0; at < characters.length; at++) {
    const character = characters[at]!;
    if (character === '{') {
      open.push({ start: at, commas: [] });
    } else if (character === ',') {
      open.at(-1)?.commas.push(at);
    } else if (character === '}') {
      const closed = open.pop();
      if (closed === undefined || closed.commas.length === 0) continue;
      for (const place of [closed.start, ...closed.commas, at]) structure.add(place);
    } else {
      at = parseOne(characters, at).end;
    }
  }
  return structure;
}

/** What stands at a place, unless it is the structure of braces; and the place of its last character. */
function parseOne(characters: readonly string[], at: number): { token: Token; end: number } {
  const character = characters[at]!;
  if (character === '*') return { token: 'any', end: at };
  if (character === '?') return { token: () => true, end: at };
  if (character === '\\' && at + 1 < characters.length) return { token: only(characters[at + 1]!), end: at + 1 };
  return (character === '[' ? parseClass(characters, at) : null) ?? { token: only(character), end: at };
}

/** A class from its bracket on; null if it is not closed. A bracket that closes is, right after the opening, one of the class. */
function parseClass(characters: readonly string[], start: number): { token: Accepts; end: number } | null {
  const negated = characters[start + 1] === '!' || characters[start + 1] === '^';
  const first = start + (negated ? 2 : 1);
  const ranges: [low: number, high: number][] = [];
  for (let at = first; at < characters.length; at++) {
    if (characters[at] === ']' && at > first) {
      const token: Accepts = (character) => {
        const code = codeOf(character);
        return ranges.some(([low, high]) => low <= code && code <= high) !== negated;
      };
      return { token, end: at };
    }
    if (characters[at] === '\\' && at + 1 < characters.length) at++;
    const low = codeOf(characters[at]!);
    const isRange = characters[at + 1] === '-' && at + 2 < characters.length && characters[at + 2] !== ']';
    if (isRange) at += 2;
    ranges.push([low, codeOf(characters[at]!)]);
  }
  return null;
}

function codeOf(character: string): number {
  return character.codePointAt(0)!;
}

function only(wanted: string): Accepts {
  return (character) => character === wanted;
}

/** Adds the states for some tokens. @returns the first of them; the last goes on to `next` */
function addStates(tokens: readonly Token[], next: number, states: State[]): number {
  const add = (state: State): number => states.push(state) - 1;
  let start = next;
  for (const token of tokens.toReversed()) {
    const after = start;
    if (token === 'any') {
      const loop: number[] = [];
      start = add({ accepts: null, next: loop });
      loop.push(after, add({ accepts: () => true, next: [start] }));
    } else if (typeof token === 'function') {
      start = add({ accepts: token, next: [after] });
    } else {
      start = add({ accepts: null, next: token.map((alternative) => addStates(alternative, after, states)) });
    }
  }
  return start;
}

/** Goes through a name once, with all states in which it may be at each character: each is there once. */
class Run {
  /** Those that go on by a character. */
  current: number[] = [];
  readonly #states: readonly State[];
  /** At which step a state was reached last. */
  readonly #reached: Uint32Array;
  readonly #pending: number[] = [];
  /** From 1 on, as nothing was reached at 0. */
  #step = 1;

  constructor(states: readonly State[], start: number) {
    this.#states = states;
    this.#reached = new Uint32Array(states.length);
    this.#enter([start]);
  }

  get atEnd(): boolean {
    return this.#reached[END] === this.#step;
  }

  goOn(character: string): void {
    const before = this.current;
    this.current = [];
    this.#step++;
    for (const at of before) {
      const { accepts, next } = this.#states[at]!;
      if (accepts?.(character) === true) this.#enter(next);
    }
  }

  #enter(states: readonly number[]): void {
    const pending = this.#pending;
    for (const state of states) pending.push(state);
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      if (this.#reached[at] === this.#step) continue;
      this.#reached[at] = this.#step;
      const { accepts, next } = this.#states[at]!;
      if (accepts !== null) this.current.push(at);
      else for (const one of next) pending.push(one);
    }
  }
}

function matches(states: readonly State[], start: number, name: string): boolean {
  const run = new Run(states, start);
  for (const character of name) {
    if (run.current.length === 0) return false;
    run.goOn(character);
  }
  return run.atEnd;
}
