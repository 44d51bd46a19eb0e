/** The order of strings by their UTF-8 bytes: the format's order of names and keys (FORMAT.md §1, §2). */

const SURROGATE = /[\ud800-\udfff]/;

/**
 * Compares two well-formed strings by their UTF-8 bytes, which is the order of code points. UTF-16 units are in another order
 * where one is a surrogate (of an astral character) and the other is above the surrogates.
 */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

/** Sorts a copy by name. */
export function sortByName<Item extends { name: string }>(items: readonly Item[]): Item[] {
  const compare = comparatorFor(items);
  return [...items].sort((a, b) => compare(a.name, b.name));
}

/** The fastest function that compares the names of these items as `compareUtf8` does: the native one, but for astral characters. */
export function comparatorFor(items: readonly { name: string }[]): (a: string, b: string) => number {
  return items.some(({ name }) => SURROGATE.test(name)) ? compareUtf8 : compareUnits;
}

function compareUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Moves the surrogates above all other units. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
