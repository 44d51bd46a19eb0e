import { Blob } from 'node:buffer';
import { LENGTH_BYTES } from '../format/canonical.js';
import { headerSteps, readHeaderLength } from '../format/header.js';
import type { Header } from '../format/header.js';
import { keepPrivate } from '../engine/memory.js';
import type { Engine, Source } from '../engine/types.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';

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
 * What is in a `Blob`, in memory of the library's own. Memory passes.
 *
 * @throws TypeError for a `Blob` in the form that blocks, which cannot read it
 */
export function* readBlob(input: Uint8Array | Blob, name: string): Twin<Uint8Array> {
  if (!(input instanceof Blob)) return input;
  return yield* step(
    () => {
      throw new TypeError(
        `${name} is a Blob, which only awaiting can read: use the form without Sync, or give its bytes`,
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
  return bytes;
}

/** The length of a file's header, out of its first 8 bytes. */
export function* readLength(engine: Engine, source: Source): Twin<number> {
  const prefix = new Uint8Array(Math.min(LENGTH_BYTES, source.size));
  yield* readRaw(engine, source, 0, prefix);
  return readHeaderLength(prefix, source.size);
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
