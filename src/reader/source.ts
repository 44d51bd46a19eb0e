import { parseHeader, readHeaderLength } from '../format/header.js';
import type { Header } from '../format/header.js';
import type { Engine, Source } from '../engine/types.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';

/** Opens a path, or bytes in memory. What the engine throws names no file yet: see `publicError`. */
export function* openSource(input: string | Uint8Array, engine: Engine): Twin<Source> {
  if (typeof input !== 'string') return engine.openBytes(input);
  return yield* step(
    () => engine.openFileSync(input),
    () => engine.openFile(input),
  );
}

/** The header of a file, validated wholly; its signature is not verified. */
export function* readHeader(engine: Engine, source: Source): Twin<Header> {
  const prefix = new Uint8Array(Math.min(8, source.size));
  yield* readRaw(engine, source, 0, prefix);
  const bytes = new Uint8Array(readHeaderLength(prefix, source.size));
  yield* readRaw(engine, source, 8, bytes);
  return parseHeader(bytes, source.size);
}

/** Fills `destination` with stored bytes, unverified. */
export function* readRaw(engine: Engine, source: Source, offset: number, destination: Uint8Array): Twin<void> {
  if (destination.byteLength === 0) return;
  yield* step(
    () => engine.readRawSync(source, offset, destination),
    () => engine.readRaw(source, offset, destination),
  );
}
