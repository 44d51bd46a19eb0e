/** Files of a model that hold no tensors: what they are bound by, and how they are read (docs/format.md). */
import { createHash } from 'node:crypto';
import type { Engine, Sink, Source } from '../engine/types.js';
import type { Twin } from '../twin.js';
import { sha256Of } from './digests.js';
import { isGone, mismatch, missingFile } from './mismatch.js';
import { readRaw, withSource } from './source.js';

/** Name of the one tensor of a sealed file: its bytes, as U8. */
export const SEALED_TENSOR = 'data';

const PIECE_BYTES = 1024 * 1024;

/** SHA-256 of what is in a source, in hex, in bounded memory. @param sink gets a copy */
export function* digestOf(engine: Engine, source: Source, sink?: Sink): Twin<string> {
  const hash = createHash('sha256');
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, source.size));
  for (let offset = 0; offset < source.size; offset += PIECE_BYTES) {
    const piece = buffer.subarray(0, Math.min(PIECE_BYTES, source.size - offset));
    yield* readRaw(engine, source, offset, piece);
    hash.update(piece);
    sink?.write(offset, piece);
  }
  return hash.digest('hex');
}

/** The same of a file. */
export function* digestOfFile(engine: Engine, path: string): Twin<{ digest: string; byteLength: number }> {
  return yield* withSource(engine, { path, names: [] }, function* (source) {
    return { digest: yield* digestOf(engine, source), byteLength: source.size };
  });
}

/**
 * All of a plain file of a model, if it is what the model's signed headers say.
 *
 * @throws {CryptoTensorsError} `ModelMismatch`, `FileError`
 */
export function* readPlainFile(engine: Engine, path: string, expected: string): Twin<Uint8Array<ArrayBuffer>> {
  return yield* withPlainFile(engine, path, expected, function* (source) {
    const bytes = new Uint8Array(source.size);
    yield* readRaw(engine, source, 0, bytes);
    return { digest: sha256Of(engine, bytes), result: bytes };
  });
}

/** Whether a plain file of a model is what its signed headers say. @throws {CryptoTensorsError} `ModelMismatch`, `FileError` */
export function* checkPlainFile(engine: Engine, path: string, expected: string): Twin<void> {
  yield* withPlainFile(engine, path, expected, function* (source) {
    return { digest: yield* digestOf(engine, source), result: undefined };
  });
}

/**
 * Reads a plain file of a model once, and gives what was made of it if it is what the model's signed headers say.
 *
 * @throws {CryptoTensorsError} `ModelMismatch`, `FileError`
 */
export function* withPlainFile<Result>(
  engine: Engine,
  path: string,
  expected: string,
  read: (source: Source) => Twin<{ digest: string; result: Result }>,
): Twin<Result> {
  try {
    return yield* withSource(engine, { path, names: [] }, function* (source) {
      const { digest, result } = yield* read(source);
      if (digest === expected) return result;
      throw mismatch(path, 'is not the file that belongs to the model: it was changed after the model was signed', {
        expected: `SHA-256 ${expected}`,
        found: `SHA-256 ${digest}`,
      });
    });
  } catch (error) {
    throw isGone(error, path) ? missingFile(path, `SHA-256 ${expected}`) : error;
  }
}
