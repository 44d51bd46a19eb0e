import type { JobFault } from '../types.js';
import type { RemotePlace } from './io.js';
import type { Piece } from './piece.js';

/**
 * What the main thread and a worker say to each other. A worker does one piece at a time and blocks while it does; where it
 * needs memory that only the main thread can see (an ArrayBuffer of the caller's), it asks and waits for its `turn`.
 */

/** What a worker is started with. All of it is shared. */
export interface WorkerSetup {
  /** By `Control`. */
  control: Int32Array;
  /** Stored bytes that the main thread fetched for the worker. */
  incoming: Uint8Array;
  /** Bytes that the main thread is to put into the destination. */
  outgoing: Uint8Array;
}

/** Cells of `WorkerSetup.control`. */
export const Control = {
  /** Not 0: the piece is not wanted any more. */
  stop: 0,
  /** Grows with each answer of the main thread. A refusal is an answer too, with `stop` set before. */
  turn: 1,
} as const;
export const CONTROL_CELLS = 2;

export const WINDOW_BYTES = 2 * 1024 * 1024;

export type ToWorker =
  | { kind: 'work'; piece: Piece; inputs: RemotePlace[]; output: RemotePlace }
  /** There is nothing to do: forget what passed through. */
  | { kind: 'rest' };

export type FromWorker =
  /** Put these bytes of a source into `incoming`, then answer. */
  | { kind: 'fetch'; source: number; position: number; length: number }
  /** Put what is in `outgoing` into the destination, then answer. Rows of 2: offset, length. */
  | { kind: 'deliver'; rows: Float64Array }
  | { kind: 'progress'; bytes: number }
  /** The piece has ended: `rows` as for `deliver`, but nobody waits for an answer. */
  | { kind: 'ended'; rows: Float64Array; bytes: number; result: Uint8Array; fault: JobFault | null };
