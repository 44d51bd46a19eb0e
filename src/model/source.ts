import { Blob } from 'node:buffer';
import { LENGTH_BYTES } from '../format/canonical.js';
import { CryptoTensorsError, typeError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import { KIND_BYTES, SAFETENSORS, recogniseFile } from '../format/file-kind.js';
import { decodeUtf8 } from '../format/json-scanner.js';
import { headerSteps, readHeaderLength } from '../format/header.js';
import type { Header } from '../format/header.js';
import { keepPrivate } from '../engine/memory.js';
import type { Engine, Source } from '../engine/types.js';
import { step } from '../twin.js';
import { publicError } from './faults.js';
import type { FaultContext } from './faults.js';
import { isBlob } from './input.js';
import type { Twin } from '../twin.js';
import { named, say } from '../wording.js';

const OPEN_BRACE = 0x7b;

/**
 * Opens a path, or bytes in memory. The bytes are read where they are: whoever reads more of them than a header gives `ownBytes`.
 * What the engine throws names no file yet: see `publicError`.
 */
export function* openSource(input: string | Uint8Array, engine: Engine): Twin<Source> {
  if (typeof input !== 'string') return engine.openBytes(input);
  return yield* step(
    () => engine.openFileSync(input),
    () => engine.openFile(input),
  );
}

/**
 * Opens a path for some work, and closes it whatever comes.
 *
 * @param context for errors of the engine; the work may fill in the tensors' names once it has read them
 * @throws what the work throws, with names in place of an engine's numbers
 */
export function* withSource<Result>(
  engine: Engine,
  context: FaultContext & { path: string },
  work: (source: Source) => Twin<Result>,
): Twin<Result> {
  let source: Source | undefined;
  try {
    source = yield* openSource(context.path, engine);
    return yield* work(source);
  } catch (error) {
    throw publicError(error, context);
  } finally {
    source?.close();
  }
}

/**
 * What is in a `Blob`, in memory of the library's own. Memory passes.
 *
 * @throws TypeError for a `Blob` in the form that blocks, which cannot read it
 */
export function* readBlob(input: Uint8Array | Blob, name: string): Twin<Uint8Array> {
  if (!isBlob(input)) return input;
  return yield* step(
    () => {
      throw typeError(
        say`${named(name)} is a Blob, which only awaiting can read: use the form without Sync, or give its bytes`,
      );
    },
    // The language's own method: what it makes nobody else has.
    async () => keepPrivate(new Uint8Array(await Blob.prototype.arrayBuffer.call(input))),
  );
}

/** The header of a file, validated wholly; its signature is not verified. */
export function* readHeader(engine: Engine, source: Source): Twin<Header> {
  return yield* headerSteps(yield* readHeaderText(engine, source), source.size);
}

/** The text of a file's header: what its first 8 bytes count. */
export function* readHeaderText(engine: Engine, source: Source): Twin<Uint8Array> {
  const bytes = new Uint8Array(yield* readLength(engine, source));
  yield* readRaw(engine, source, LENGTH_BYTES, bytes);
  // Nothing but an object is a header: before it is refused as text, its file may be known for something else.
  if (bytes[0] !== OPEN_BRACE)
    yield* refuseOtherFile(engine, source, isUtf8(bytes) ? 'InvalidHeaderDeserialization' : 'InvalidHeader');
  return bytes;
}

/** The length of a file's header, out of its first 8 bytes. */
export function* readLength(engine: Engine, source: Source): Twin<number> {
  const prefix = new Uint8Array(Math.min(LENGTH_BYTES, source.size));
  yield* readRaw(engine, source, 0, prefix);
  try {
    return readHeaderLength(prefix, source.size);
  } catch (error) {
    if (error instanceof CryptoTensorsError) yield* refuseOtherFile(engine, source, error.code);
    throw error;
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    decodeUtf8(bytes);
    return true;
  } catch {
    return false;
  }
}

/** What is no safetensors file at all is named, where its first bytes tell what it is. @throws an error of that code, or nothing */
function* refuseOtherFile(engine: Engine, source: Source, code: ErrorCode): Twin<void> {
  const first = new Uint8Array(Math.min(KIND_BYTES, source.size));
  yield* readRaw(engine, source, 0, first);
  const kind = recogniseFile(first);
  if (kind === null || kind === SAFETENSORS) return;
  throw new CryptoTensorsError(code, `this is no safetensors file: it is ${kind}`, {
    expected: SAFETENSORS,
    found: kind,
  });
}

/** Fills `destination`, which nobody else has, with stored bytes, unverified. */
export function* readRaw(engine: Engine, source: Source, offset: number, destination: Uint8Array): Twin<void> {
  if (destination.byteLength === 0) return;
  keepPrivate(destination);
  yield* step(
    () => engine.readRawSync(source, offset, destination),
    () => engine.readRaw(source, offset, destination),
  );
}
