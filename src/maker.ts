/*
 * Classes that are public for `instanceof`, types and static methods, but whose objects only this library makes: of what, a caller
 * does not have.
 */

export const MAKER = Symbol('made by cryptotensors');

/** @param made what it is, and by which function. @throws TypeError unless this library calls */
export function checkMaker(maker: unknown, made: string): void {
  if (maker !== MAKER) throw new TypeError(`${made}, not by new`);
}
