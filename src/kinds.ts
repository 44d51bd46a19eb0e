/**
 * What a value is, whatever realm it is of: told by what only its kind has, where `instanceof` knows its own realm's alone. As
 * `node:util/types` tells it, but wherever there is JavaScript.
 */

type Method = (this: unknown) => unknown;

function methodOf(prototype: object, name: string): Method {
  const found = Object.getOwnPropertyDescriptor(prototype, name) as { value?: Method; get?: Method };
  return (found.value ?? found.get)!;
}

const timeOf = methodOf(Date.prototype, 'getTime');
const sizeOfMap = methodOf(Map.prototype, 'size');
const sizeOfSet = methodOf(Set.prototype, 'size');
const nameOf = methodOf(Object.prototype, 'toString');

/** The language's own methods refuse what is not of their kind, and look at nothing else. */
function serves(method: Method, value: unknown): boolean {
  try {
    Reflect.apply(method, value, []);
    return true;
  } catch {
    return false;
  }
}

export function isDate(value: unknown): value is Date {
  return serves(timeOf, value);
}

export function isMap(value: unknown): value is Map<unknown, unknown> {
  return serves(sizeOfMap, value);
}

export function isSet(value: unknown): value is Set<unknown> {
  return serves(sizeOfSet, value);
}

/** By its name, which a value can give itself: nothing of promises can be asked without touching them. */
export function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && Reflect.apply(nameOf, value, []) === '[object Promise]';
}

/** An error of the language or of a class that extends one. The language calls nothing else so that has not named itself. */
export function isError(value: unknown): value is Error {
  return (
    typeof value === 'object' &&
    value !== null &&
    !(Symbol.toStringTag in value) &&
    Reflect.apply(nameOf, value, []) === '[object Error]'
  );
}
