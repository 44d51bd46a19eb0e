import type { Header } from '../format/header.js';

/** Keys that begin with `__` are the format's own (FORMAT.md §1). */
export function isReserved(key: string): boolean {
  return key.startsWith('__');
}

/**
 * The metadata of one or more headers, of the keys that are wanted, as an object without a prototype; where several have a key
 * the first counts. Null where none has any metadata at all. Only what is wanted is decoded.
 */
export function metadataOf(
  headers: readonly Header[],
  wanted: (key: string) => boolean,
): Record<string, string> | null {
  if (headers.every(({ metadata }) => metadata === null)) return null;
  const result = Object.create(null) as Record<string, string>;
  for (const { metadata } of headers) {
    for (const key of metadata?.keys() ?? []) {
      if (wanted(key) && !Object.hasOwn(result, key)) result[key] = metadata!.get(key)!;
    }
  }
  return result;
}

/** The user's metadata of one header. */
export function userMetadata(header: Header): Record<string, string> | null {
  return metadataOf([header], (key) => !isReserved(key));
}
