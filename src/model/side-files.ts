/** Files of a model that hold no tensors: what they are bound by, and how they are read (docs/format.md). */
import { createHash } from 'node:crypto';
import { CryptoTensorsError, quotePath } from '../errors.js';
import type { Engine, Sink, Source } from '../engine/types.js';
import type { Twin } from '../twin.js';
import { isMissing } from '../files/system-error.js';
import { publicError } from './faults.js';
import { openSource, readRaw } from './source.js';
import { withoutPrototype } from '../options.js';

/** Name of the one tensor of a sealed file: its bytes, as U8. */
export const SEALED_TENSOR = 'data';

const PIECE_BYTES = 1024 * 1024;

/** The bytes of a file from front to back, in pieces that are valid until the next one. */
export function* eachPiece(
  engine: Engine,
  source: Source,
  visit: (piece: Uint8Array, offset: number) => void,
): Twin<void> {
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, source.size));
  for (let offset = 0; offset < source.size; offset += PIECE_BYTES) {
    const piece = buffer.subarray(0, Math.min(PIECE_BYTES, source.size - offset));
    yield* readRaw(engine, source, offset, piece);
    visit(piece, offset);
  }
}

/** SHA-256 of a file, in hex, in bounded memory. */
export function* digestOfFile(engine: Engine, path: string): Twin<{ digest: string; byteLength: number }> {
  return yield* reading(engine, path, function* (source) {
    const hash = createHash('sha256');
    yield* eachPiece(engine, source, (piece) => hash.update(piece));
    return { digest: hash.digest('hex'), byteLength: source.size };
  });
}

/**
 * All of a plain file of a model, if it is what the model's signed headers say.
 *
 * @throws {CryptoTensorsError} `ModelMismatch`, `FileError`
 */
export function* readPlainFile(engine: Engine, path: string, expected: string): Twin<Uint8Array<ArrayBuffer>> {
  return yield* listed(path, expected, () =>
    reading(engine, path, function* (source) {
      const bytes = new Uint8Array(source.size);
      yield* readRaw(engine, source, 0, bytes);
      return { digest: createHash('sha256').update(bytes).digest('hex'), result: bytes };
    }),
  );
}

/** Whether a plain file of a model is what its signed headers say. @throws {CryptoTensorsError} `ModelMismatch`, `FileError` */
export function* checkPlainFile(engine: Engine, path: string, expected: string): Twin<void> {
  yield* listed(path, expected, () => digestOfFile(engine, path));
}

function* listed<Result>(
  path: string,
  expected: string,
  read: () => Twin<{ digest: string; result?: Result }>,
): Twin<Result> {
  let found: string;
  try {
    const { digest, result } = withoutPrototype(yield* read());
    if (digest === expected) return result as Result;
    found = `SHA-256 ${digest}`;
  } catch (error) {
    if (!isMissing(error)) throw error;
    found = 'nothing';
  }
  const problem =
    found === 'nothing'
      ? 'is missing, but the model says that it belongs to it'
      : 'is not the file that belongs to the model: it was changed after the model was signed';
  throw new CryptoTensorsError('ModelMismatch', `${quotePath(path)} ${problem}`, {
    path,
    expected: `SHA-256 ${expected}`,
    found,
  });
}

function* reading<Result>(engine: Engine, path: string, work: (source: Source) => Twin<Result>): Twin<Result> {
  let source: Source | undefined;
  try {
    source = yield* openSource(path, engine);
    return yield* work(source);
  } catch (error) {
    throw publicError(error, { path, names: [] });
  } finally {
    source?.close();
  }
}

/**
 * Copies a file, in bounded memory, if it still is what it was.
 *
 * @throws {CryptoTensorsError} `FileChanged`
 */
export function* copyFile(engine: Engine, from: string, sink: Sink, expected: string): Twin<void> {
  yield* reading(engine, from, function* (source) {
    const hash = createHash('sha256');
    yield* eachPiece(engine, source, (piece, offset) => {
      hash.update(piece);
      sink.write(offset, piece);
    });
    if (hash.digest('hex') === expected) return;
    throw new CryptoTensorsError(
      'FileChanged',
      `${quotePath(from)} was changed while the model was being written: begin again`,
      { path: from },
    );
  });
}
