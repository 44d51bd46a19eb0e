/** Whole loads: what a server does when it starts, or takes up another model. */

/** Largest buffer that `fs.promises.readFile` fills. */
const READ_FILE_LIMIT = 2 ** 31;

/**
 * @param {import('../competition.mjs').Competition} competition
 * @param {string} label
 * @param {{ plain: string, encrypted: string, keys: string, handmade?: object, bytes: number }} model
 * @param {number} rounds
 */
export function benchLoad(competition, label, model, rounds) {
  const { plain, encrypted, keys, handmade, bytes } = model;
  const load = (name, child, path, more = {}) => ({ name, child, request: { do: 'load', path, ...more } });
  const competitors = [
    { name: 'fs.readSync, plain, fresh Buffer', child: 'auto', request: { do: 'readSync', path: plain } },
    ...(bytes < READ_FILE_LIMIT
      ? [{ name: 'fs.promises.readFile, plain', child: 'auto', request: { do: 'readFile', path: plain } }]
      : []),
    load('this library, plain (pread into huge pages)', 'auto', plain),
    load('this library, plain, 1 thread', 'auto', plain, { threads: 1 }),
    load('this library, encrypted', 'auto', encrypted, { keys }),
    load('this library, encrypted, 1 thread', 'auto', encrypted, { keys, threads: 1 }),
    { name: 'this library, plain, memory recycled', child: 'auto', request: { do: 'recycle', path: plain } },
    { name: 'this library, encrypted, memory recycled', child: 'auto', request: { do: 'recycle', path: encrypted, keys } },
    load('this library, encrypted, ring', 'ring', encrypted, { keys }),
    load('this library, encrypted, ring, 1 thread', 'ring', encrypted, { keys, threads: 1 }),
    load('this library, encrypted, openssl', 'openssl', encrypted, { keys }),
    load('this library, encrypted, openssl, 1 thread', 'openssl', encrypted, { keys, threads: 1 }),
    ...(handmade ? [{ name: 'node:crypto in a loop', child: 'auto', request: { do: 'nodeCrypto', ...handmade } }] : []),
    { name: 'reference (Python), encrypted', child: 'python', request: { do: 'load_reference', path: encrypted } },
    { name: 'safetensors (Python), plain', child: 'python', request: { do: 'load_safetensors', path: plain } },
  ]; // prettier-ignore
  return competition.run(`Load ${label}`, competitors, { rounds, touch: bytes });
}

/**
 * The same from a disk: the file is put out of the system's cache before each load. Memory is recycled, so that its supply is
 * not what is measured.
 */
export function benchColdLoad(competition, label, { plain, encrypted, keys, bytes }, rounds, children) {
  const competitors = [
    { name: 'fs.readSync, plain, cold', child: 'auto', request: { do: 'readSync', path: plain } },
    { name: 'this library, plain, cold', child: 'auto', request: { do: 'recycle', path: plain } },
    { name: 'this library, encrypted, cold', child: 'auto', request: { do: 'recycle', path: encrypted, keys } },
    { name: 'reference (Python), encrypted, cold', child: 'python', request: { do: 'load_reference', path: encrypted } },
  ]; // prettier-ignore
  const before = () => children.python.ask({ do: 'evict', paths: [plain, encrypted] });
  return competition.run(`Load ${label} from the disk`, competitors, { rounds, touch: bytes, before });
}
