import { padHeader } from '../format/canonical.js';
import { getEngine } from '../engine/load.js';
import { writeAtomically, writeBytesAtomically } from '../files/atomic-write.js';
import { ownOptions } from '../options.js';
import { readDetachedHeader } from '../open/detached.js';
import { publicError } from '../model/faults.js';
import { resolveInput } from '../model/input.js';
import type { BytesInput } from '../model/input.js';
import { openSource, readHeader, withSource } from '../model/source.js';
import { runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import { paths } from '../writer/encrypt-file.js';
import { WORK_OPTIONS, checkWorkOptions } from '../writer/options.js';
import type { WorkOptions } from '../writer/options.js';
import { bodyBytes, writeWithBody } from './body.js';
import { DETACHED_PADDING, FILE_PADDING } from './header.js';

/** Options of `detachHeader`. */
export type DetachOptions = Pick<WorkOptions, 'durable'>;

/**
 * Writes a file's header to a file by itself: 8 bytes of length and the text. A body can be opened with any header that was made
 * for it: `safeOpen(body, { header })`.
 *
 * The header's structure is checked, its signature is not: that is checked whenever somebody opens with it.
 *
 * @throws {CryptoTensorsError} what `safeOpen` throws of the structure; `FileError`, `InvalidOption`
 */
export async function detachHeader(
  source: string | URL,
  target: string | URL,
  options: DetachOptions = {},
): Promise<void> {
  const [from, to] = paths(source, target);
  const own = ownOptions<DetachOptions>(options, ['durable'], 'detachHeader');
  checkWorkOptions(own);
  await runAsync(detach(from, to, own));
}

function* detach(from: string, to: string, { durable }: DetachOptions): Twin<void> {
  const engine = getEngine();
  yield* withSource(engine, { path: from, names: [] }, function* (source) {
    const { bytes } = yield* readHeader(engine, source);
    const file = { path: to, engine, durable, like: source.status() };
    yield* writeBytesAtomically(file, padHeader(bytes, DETACHED_PADDING));
  });
}

/**
 * Makes an ordinary file of a body and a header that was made for it: one that every reader of the format opens, the reference
 * among them. What the body has before its data is left out. What is at `target` (which may be `body`) is replaced atomically.
 *
 * The header is held against the length of the body's data; its signature, and the tags in it, are checked whenever the file is
 * opened and read.
 *
 * @param header path of the header's file, or its bytes
 * @throws {CryptoTensorsError} what `safeOpen` throws of the structure, `MetadataIncompleteBuffer` for a header of another
 * body; `FileChanged`, `FileError`, `InvalidOption`
 * @throws {AbortError} when `signal` fires; nothing is left behind
 */
export async function attachHeader(
  body: string | URL,
  header: string | URL | BytesInput,
  target: string | URL,
  options: WorkOptions = {},
): Promise<void> {
  const [from, to] = paths(body, target, 'body');
  const detached = resolveInput(header, 'header');
  const own = ownOptions<WorkOptions>(options, WORK_OPTIONS, 'attachHeader');
  checkWorkOptions(own);
  await runAsync(attach(from, detached, to, own));
}

function* attach(from: string, detached: string | Uint8Array, to: string, options: WorkOptions): Twin<void> {
  const engine = getEngine();
  let names: readonly string[] = [];
  try {
    const source = yield* openSource(from, engine);
    try {
      const { header, dataStart } = yield* readDetachedHeader(engine, source, detached);
      names = header.names;
      const body = { engine, source, dataStart };
      const bytes = padHeader(header.bytes, { ...FILE_PADDING, fit: dataStart });
      const file = {
        path: to,
        byteLength: bytes.length + bodyBytes(body),
        engine,
        durable: options.durable,
        like: source.status(),
      };
      yield* writeAtomically(file, (sink) => writeWithBody(bytes, body, sink, options));
    } finally {
      source.close();
    }
  } catch (error) {
    throw publicError(error, { path: from, names, signal: options.signal });
  }
}
