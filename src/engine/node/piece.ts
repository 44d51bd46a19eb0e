import type { TensorBox } from '../../format/box.js';
import type { AeadAlgorithm, DigestAlgorithm } from '../types.js';

/**
 * A piece of work for one thread, as plain data: it crosses between threads as it is, all its memory transferred.
 * Each is about 2 MiB of chunks, or one chunk that is longer.
 */
export type Piece = OpenPiece | SealPiece;

/** Numbers per row of `OpenPiece.chunks`. */
export const OPEN_STRIDE = 7;
/** Columns of `OpenPiece.chunks`. */
export const OpenColumn = {
  tensor: 0,
  chunk: 1,
  /** Absolute position in the source. */
  position: 2,
  length: 3,
  check: 4,
  /** Index in `keys`, for a tag. */
  key: 5,
  /** One more than the last of the chunk's rows in `targets`, which begin where the previous chunk's end. */
  targetsEnd: 6,
} as const;

/** Values of `OpenColumn.check`. */
export const Check = { none: 0, tag: 1, digest: 2 } as const;

/** Numbers per row of `OpenPiece.targets`: start in the chunk, length, offset in the destination. */
export const TARGET_STRIDE = 3;

/** Chunks to verify, decrypt and copy. */
export interface OpenPiece {
  kind: 'open';
  /** Indexes of the job's sources. */
  sources: number[];
  algorithm: AeadAlgorithm | null;
  digest: DigestAlgorithm | null;
  chunks: Float64Array<ArrayBuffer>;
  targets: Float64Array<ArrayBuffer>;
  /** In place of targets: a box, and the absolute position of its tensor in the source. */
  box: { box: TensorBox; position: number } | null;
  /** DEKs, wiped by whoever does the work. */
  keys: Uint8Array<ArrayBuffer>;
  /** For each chunk in turn what it is checked with: IV and tag, or digest, or nothing. */
  checks: Uint8Array<ArrayBuffer>;
}

/** Numbers per row of `SealPiece.chunks`. */
export const SEAL_CHUNK_STRIDE = 7;
/** Columns of `SealPiece.chunks`. */
export const SealColumn = {
  /** Index of the item, for faults. */
  item: 0,
  mode: 1,
  /** Index in the piece's `sources`. */
  source: 2,
  position: 3,
  length: 4,
  /** Offset in the sink. */
  destination: 5,
  /** Index in `keys`, for what is encrypted. */
  key: 6,
} as const;

/** Chunks to encrypt, digest or copy. The result is their tags and digests in turn. */
export interface SealPiece {
  kind: 'seal';
  sources: number[];
  algorithm: AeadAlgorithm | null;
  digest: DigestAlgorithm | null;
  chunks: Float64Array<ArrayBuffer>;
  keys: Uint8Array<ArrayBuffer>;
  /** For each chunk that is encrypted its IV. */
  ivs: Uint8Array<ArrayBuffer>;
  /** Length of the result. */
  resultBytes: number;
}

/** The memory of a piece, to be transferred. */
export function memoryOf(piece: Piece): ArrayBuffer[] {
  const parts = piece.kind === 'open' ? [piece.targets, piece.checks] : [piece.ivs];
  return [piece.chunks, piece.keys, ...parts].map(({ buffer }) => buffer);
}
