import { CryptoTensorsError, argumentError, quoteInput, typeError } from './errors.js';
import { isDate, isError, isMap, isPromise, isSet } from './kinds.js';
import { named, say } from './wording.js';
import type { Wording } from './wording.js';

/*
 * How options are read, everywhere: as own properties, each once. What was checked is then what is used, and whoever can add to
 * `Object.prototype` (a parser of query strings that merges too much) sets no option of this library.
 */

/**
 * The options of a function, in an object of their own that inherits nothing. An unknown name is refused: a misspelt `trust` that
 * is silently ignored would open a door; so is a known one that a class provides, for it would be ignored too.
 *
 * @param argument what the object is called in messages
 * @throws {TypeError}
 */
export function ownOptions<Options extends object>(
  options: unknown,
  known: readonly (keyof Options & string)[],
  where: string,
  argument = 'options',
): Partial<Options> {
  if (options === undefined) return ownMembers<Options>({}, []);
  const other = isPromise(options) || isMap(options) || isSet(options) || isDate(options);
  if (typeof options !== 'object' || options === null || Array.isArray(options) || other) {
    throw argumentError(argument, 'an object', options);
  }
  const names: readonly string[] = known;
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) {
      throw new TypeError(`unknown option ${quoteInput(name)} of ${where}; it takes: ${known.join(', ')}`);
    }
  }
  for (const prototype of classesOf(options)) {
    const name = names.find((one) => Object.hasOwn(prototype, one));
    if (name !== undefined) {
      throw typeError(
        say`${named(`${argument}.${name}`)} must be a property of the object itself, not of its class: it would not count`,
      );
    }
  }
  return ownMembers<Options>(options, known);
}

/** Those members of an object that are its own, in an object that inherits nothing. What is undefined is left out. */
export function ownMembers<Members extends object>(
  object: object,
  names: readonly (keyof Members & string)[],
): Partial<Members> {
  const own = Object.create(null) as Record<string, unknown>;
  for (const name of names) {
    if (!Object.hasOwn(object, name)) continue;
    const value = (object as Record<string, unknown>)[name];
    if (value !== undefined) own[name] = value;
  }
  return own as Partial<Members>;
}

/** Some of the options that `ownOptions` returned, likewise. */
export function pickOptions<Options extends object, Name extends keyof Options & string>(
  options: Options,
  names: readonly Name[],
): Pick<Options, Name> {
  return ownMembers<Pick<Options, Name>>(options, names) as Pick<Options, Name>;
}

/** A member of something that may be of a class, such as a key provider: its own or its class's, but not of every object. */
export function memberOf<Whole extends object, Name extends string>(
  object: Whole,
  name: Name,
): Name extends keyof Whole ? Whole[Name] : unknown;
export function memberOf(object: object, name: string): unknown {
  const has = Object.hasOwn(object, name) || classesOf(object).some((prototype) => Object.hasOwn(prototype, name));
  return has ? (object as Record<string, unknown>)[name] : undefined;
}

/** Some of those members, in an object that inherits nothing. */
export function membersOf<Members extends object>(
  object: Members,
  names: readonly (keyof Members & string)[],
): Partial<Members> {
  const members = Object.create(null) as Partial<Members>;
  for (const name of names) {
    const value = memberOf(object, name) as Members[typeof name] | undefined;
    if (value !== undefined) members[name] = value;
  }
  return members;
}

/** The same members in an object that inherits nothing: of an object of this library's own, before members are read that may be missing. */
export function withoutPrototype<Whole extends object>(object: Whole): Whole {
  return Object.assign(Object.create(null) as Whole, object);
}

/** Whether an object of this library's own has a member, to tell what kind it is. In place of `in`, which finds it in `Object.prototype` too. */
export function hasOwn<Whole extends object, Name extends string>(
  object: Whole,
  name: Name,
): object is Extract<Whole, Record<Name, unknown>> {
  return Object.hasOwn(object, name);
}

/** The prototypes of an object but for the last one, which is that of all objects of its realm. */
function classesOf(object: object): object[] {
  const classes: object[] = [];
  let prototype = Object.getPrototypeOf(object) as object | null;
  while (prototype !== null) {
    const next = Object.getPrototypeOf(prototype) as object | null;
    if (next !== null) classes.push(prototype);
    prototype = next;
  }
  return classes;
}

/** Whether something is an object of no class: whose prototype is none, or that of all objects of its realm. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && classesOf(value).length === 0;
}

/** What a JSON text says, in objects that inherit nothing. @throws SyntaxError, which quotes the text */
export function parseJsonData(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => (isPlainObject(value) ? withoutPrototype(value) : value));
}

/** Whether something is an error of that kind, such as `TypeError`, of any realm. */
export function isErrorOfKind(error: unknown, kind: string): boolean {
  return isError(error) && error.name === kind;
}

/** Whether something is there that could be a promise: whoever awaits it would wait. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    ((typeof value === 'object' && value !== null) || typeof value === 'function') &&
    typeof (value as Partial<PromiseLike<unknown>>).then === 'function'
  );
}

export function checkBoolean(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'boolean') throw argumentError(name, 'a boolean', value);
}

export function checkString(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'string') throw argumentError(name, 'a string', value);
}

export function checkFunction(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'function') throw argumentError(name, 'a function', value);
}

/** By what it does: that of another realm is one too. */
export function checkSignal(value: unknown): void {
  if (value === undefined) return;
  const has = (name: string, type: string): boolean =>
    typeof value === 'object' && value !== null && typeof memberOf(value, name) === type;
  if (!has('aborted', 'boolean') || !has('addEventListener', 'function')) {
    throw argumentError('options.signal', 'an AbortSignal', value);
  }
}

/** Milliseconds since 1970. NaN of an invalid Date. @throws TypeError */
export function readDate(value: unknown, name: string | Wording, expected = 'a Date'): number {
  if (!isDate(value)) throw argumentError(name, expected, value);
  return Date.prototype.getTime.call(value);
}

/** @throws TypeError if not a number; InvalidOption if not an integer of `[min, max]`. */
export function checkInteger(value: unknown, name: string, min: number, max: number): void {
  if (value === undefined) return;
  if (typeof value !== 'number') throw argumentError(name, 'a number', value);
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${named(name)} must be an integer from ${min} to ${max}, not ${value}`,
      {
        expected: `${min}..${max}`,
        found: String(value),
      },
    );
  }
}

/** @throws TypeError if not a string; InvalidOption if not one of `allowed`. */
export function checkOneOf(value: unknown, name: string, allowed: readonly (string | number)[]): void {
  if (value === undefined) return;
  const type = typeof allowed[0];
  if (typeof value !== type) throw argumentError(name, `a ${type}`, value);
  if (!(allowed as readonly unknown[]).includes(value)) {
    const found = typeof value === 'string' ? quoteInput(value) : `${value as number}`;
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${named(name)} must be one of ${allowed.join(', ')}, not ${found}`,
      {
        expected: allowed.join(', '),
        found,
      },
    );
  }
}
