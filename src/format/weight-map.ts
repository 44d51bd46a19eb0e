/** The index of a sharded model: `{"metadata":{…},"weight_map":{"tensor":"model-00001-of-00002.safetensors",…}}`. */
import { ITEMS_PER_BREATH, breathe } from '../twin.js';
import type { Twin } from '../twin.js';
import { Byte, JsonScanner } from './json-scanner.js';
import { wholeText } from './json-text.js';
import { scanJsonValue } from './json.js';

/**
 * File name of each tensor's shard, in the order of the text; null where there is no `weight_map`, or one that is no object. A
 * value that is no string is null.
 *
 * @throws {CryptoTensorsError} `InvalidIndex` where it is not strict JSON, or holds a key twice
 */
export function* weightMapSteps(bytes: Uint8Array): Twin<ReadonlyMap<string, string | null> | null> {
  const scanner = new JsonScanner(wholeText(bytes), { code: 'InvalidIndex', name: 'the shard index' });
  let weightMap: Map<string, string | null> | null = null;
  if (scanner.peek() !== Byte.openBrace) {
    scanJsonValue(scanner, 1);
    scanner.finish();
    return null;
  }
  const seen = new Set<string>();
  scanner.open(Byte.openBrace);
  if (!scanner.isEmpty(Byte.closeBrace)) {
    do {
      scanner.key();
      const { start } = scanner;
      const key = scanner.value();
      if (seen.has(key)) scanner.refuse('holds a key twice', start);
      seen.add(key);
      if (key === 'weight_map' && scanner.peek() === Byte.openBrace) weightMap = yield* scanFiles(scanner);
      else scanJsonValue(scanner, 2);
    } while (scanner.hasMore(Byte.closeBrace));
  }
  scanner.finish();
  return weightMap;
}

function* scanFiles(scanner: JsonScanner): Twin<Map<string, string | null>> {
  const files = new Map<string, string | null>();
  /** Neighbours are mostly in one file: then they share its name. */
  let last = '';
  scanner.open(Byte.openBrace);
  if (scanner.isEmpty(Byte.closeBrace)) return files;
  do {
    const { size } = files;
    if (size % ITEMS_PER_BREATH === 0) yield* breathe();
    scanner.key();
    const { start } = scanner;
    const tensor = scanner.value();
    const value = scanJsonValue(scanner, 3);
    const file = typeof value === 'string' ? value : null;
    if (file !== null && file !== last) last = file;
    if (files.set(tensor, file === null ? null : last).size === size) scanner.refuse('holds a key twice', start);
  } while (scanner.hasMore(Byte.closeBrace));
  return files;
}
