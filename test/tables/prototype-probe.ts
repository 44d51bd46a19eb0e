/** What is read through `Object.prototype`, and by whom, while some work is done. */
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));

/** The line that reads a member, if it is in that folder. */
function readerIn(folder: string, stack: string): string | null {
  // The first line is the message, the second the getter.
  const frame = stack.split('\n')[2] ?? '';
  const at = frame.indexOf(folder);
  return at < 0 ? null : frame.slice(at + folder.length).replace(/:\d+\)?$/, '');
}

/** A descriptor that works whatever is on `Object.prototype`. */
function descriptor(members: PropertyDescriptor): PropertyDescriptor {
  return Object.assign(Object.create(null) as PropertyDescriptor, members);
}

/**
 * Puts a getter for each of these names on `Object.prototype` for as long as `work` takes.
 *
 * @param folder whose code is watched: by default the built library's
 * @returns which member was asked of an object that has none of its own, and by which line. Errors do not count: they are asked
 * what they are
 */
export async function readThroughPrototype(
  names: readonly string[],
  work: () => unknown,
  folder = DIST,
): Promise<string[]> {
  const found = new Set<string>();
  for (const name of names) {
    const get = function (this: unknown): undefined {
      if (typeof this !== 'object' || this === null || this === Object.prototype || this instanceof Error) return; // prettier-ignore
      const reader = readerIn(folder, new Error('read').stack ?? '');
      if (reader !== null) found.add(`${name} in ${reader}`);
    };
    const set = function (this: object, value: unknown): void {
      Object.defineProperty(this, name, descriptor({ value, writable: true, enumerable: true, configurable: true }));
    };
    Object.defineProperty(Object.prototype, name, descriptor({ get, set, configurable: true }));
  }
  try {
    await work();
  } catch {
    // What becomes of the work is for other tests.
  } finally {
    for (const name of names) Reflect.deleteProperty(Object.prototype, name);
  }
  return [...found];
}
