/*
 * The names of what `using` and `await using` call. The vm contexts of Node.js 20, in which test runners run tests, have neither
 * `Symbol.dispose` nor `Symbol.asyncDispose`: there the methods get names that nobody looks for. Both would be called "undefined"
 * otherwise, and one would take the place of the other. For the same reason nothing in here is written with `using`.
 */

export const DISPOSE: typeof Symbol.dispose = orOwn(Symbol.dispose, 'Symbol.dispose');

export const ASYNC_DISPOSE: typeof Symbol.asyncDispose = orOwn(Symbol.asyncDispose, 'Symbol.asyncDispose');

function orOwn<Name extends symbol>(symbol: Name | undefined, description: string): Name {
  return symbol ?? (Symbol(description) as Name);
}
