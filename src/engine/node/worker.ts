import { constants, getPriority, setPriority } from 'node:os';
import { platform } from 'node:process';
import { parentPort, workerData } from 'node:worker_threads';
import { aborted, asFault, toPlain } from './fault.js';
import { openInput, openOutput } from './io.js';
import type { Input, Output, RemotePlace } from './io.js';
import { performPiece } from './perform.js';
import { Control } from './protocol.js';
import type { FromWorker, ToWorker, WorkerSetup } from './protocol.js';
import { Scratch } from './thread.js';
import type { Thread } from './thread.js';

/** The script of a worker thread: does the pieces of work that the pool sends, one at a time. */

const port = parentPort!;
const { control, incoming, outgoing } = workerData as WorkerSetup;
const scratch = new Scratch();

/** Thrown to leave a piece that is not wanted any more. */
const STOPPED = aborted();

/** Bytes of `outgoing` that were written to since it was wiped. */
let outgoingUsed = 0;

/** The window holds so many small parts at the most, as two numbers each: a message has its limits too. */
const MAX_ROW_NUMBERS = 2 * 65_536;

/** Progress within a piece is worth a message only for a long one. */
const REPORT_BYTES = 4 * 1024 * 1024;

function post(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

function assertWanted(): void {
  if (Atomics.load(control, Control.stop) !== 0) throw STOPPED;
}

/** Asks the main thread for something, and waits until it is done. */
function ask(message: FromWorker): void {
  assertWanted();
  const turn = Atomics.load(control, Control.turn);
  post(message);
  while (Atomics.load(control, Control.turn) === turn) Atomics.wait(control, Control.turn, turn);
  assertWanted();
}

/** Memory that only the main thread can see. It copies into the window, which nobody else can change. */
class RelayInput implements Input {
  readonly #source: number;

  constructor(source: number) {
    this.#source = source;
  }

  read(position: number, target: Uint8Array): void {
    if (target.byteLength === 0) return;
    ask({ kind: 'fetch', source: this.#source, position, length: target.byteLength });
    target.set(incoming.subarray(0, target.byteLength));
    incoming.fill(0, 0, target.byteLength);
  }
}

/** A destination that only the main thread can see: bytes are gathered in the window, which it empties. */
class RelayOutput implements Output {
  readonly revocable = true;
  #rows: number[] = [];
  #filled = 0;
  /** Offset behind the last row; -1 if there is none. */
  #next = -1;

  write(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.byteLength;) {
      if (this.#filled === outgoing.byteLength || this.#rows.length === MAX_ROW_NUMBERS) {
        ask({ kind: 'deliver', rows: this.take() });
      }
      const part = bytes.subarray(done, done + outgoing.byteLength - this.#filled);
      outgoing.set(part, this.#filled);
      this.#note(offset + done, part.byteLength);
      this.#filled += part.byteLength;
      outgoingUsed = Math.max(outgoingUsed, this.#filled);
      done += part.byteLength;
    }
  }

  #note(offset: number, length: number): void {
    if (offset === this.#next) this.#rows[this.#rows.length - 1]! += length;
    else this.#rows.push(offset, length);
    this.#next = offset + length;
  }

  /** Rows of what is in the window, for the main thread. */
  take(): Float64Array<ArrayBuffer> {
    const rows = Float64Array.from(this.#rows);
    this.#rows = [];
    this.#filled = 0;
    this.#next = -1;
    return rows;
  }
}

function inputAt(place: RemotePlace): Input {
  return place.kind === 'relay' ? new RelayInput(place.index) : openInput(place);
}

function work({ piece, inputs, output }: ToWorker & { kind: 'work' }): void {
  const relay = output.kind === 'relay' ? new RelayOutput() : null;
  let bytes = 0;
  const thread: Thread = {
    inputs: inputs.map(inputAt),
    output: relay ?? openOutput(output as Exclude<RemotePlace, { kind: 'relay' }>),
    scratch: (byteLength) => scratch.take(byteLength),
    advance: (more) => {
      assertWanted();
      bytes += more;
      if (bytes < REPORT_BYTES) return;
      post({ kind: 'progress', bytes });
      bytes = 0;
    },
  };
  let ended: FromWorker & { kind: 'ended' };
  try {
    const result = performPiece(piece, thread);
    ended = { kind: 'ended', rows: relay?.take() ?? new Float64Array(0), bytes, result, fault: null };
  } catch (error) {
    ended = {
      kind: 'ended',
      rows: new Float64Array(0),
      bytes: 0,
      result: new Uint8Array(0),
      fault: toPlain(asFault(error)),
    };
  }
  post(ended);
}

/** Lets the event loop go first. On Linux a thread has a nice value of its own; elsewhere this would be the process's. */
function becomeBackgroundThread(): void {
  const { PRIORITY_BELOW_NORMAL } = constants.priority;
  try {
    if (platform === 'linux' && getPriority() < PRIORITY_BELOW_NORMAL) setPriority(PRIORITY_BELOW_NORMAL);
  } catch {
    // A sandbox may forbid it; the work is the same.
  }
}

becomeBackgroundThread();

port.on('message', (message: ToWorker) => {
  if (message.kind === 'work') {
    work(message);
    return;
  }
  scratch.wipe();
  outgoing.fill(0, 0, outgoingUsed);
  outgoingUsed = 0;
});
