import { openPiece } from './open-piece.js';
import type { Piece } from './piece.js';
import { sealPiece } from './seal-piece.js';
import type { Thread } from './thread.js';

/** Does a piece of work on the calling thread. Returns its result: tags and digests, for what is sealed. */
export function performPiece(piece: Piece, thread: Thread): Uint8Array<ArrayBuffer> {
  if (piece.kind === 'seal') return sealPiece(piece, thread);
  openPiece(piece, thread);
  return new Uint8Array(0);
}
