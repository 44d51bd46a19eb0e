import { Worker } from 'node:worker_threads';
import { EngineFault, asFault, fromPlain } from './fault.js';
import { openInput, openOutput, toRemote } from './io.js';
import type { Job, JobPiece } from './job.js';
import { memoryOf } from './piece.js';
import { CONTROL_CELLS, Control, WINDOW_BYTES } from './protocol.js';
import type { FromWorker, ToWorker, WorkerSetup } from './protocol.js';

const SCRIPT = new URL('./worker.js', import.meta.url);

/** Tensors' bytes are outside of V8's heap; in it there is little. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 };

/** What a worker's owner is told. */
export interface WorkerEvents {
  /** The worker has done a piece of the job, and can take another. */
  free(job: Job): void;
  /** The thread has ended, in the middle of a piece of the job if there is one. */
  lost(job: Job | null): void;
}

/** A worker thread from the main thread's side. */
export class PoolWorker {
  readonly #worker: Worker;
  readonly #setup: WorkerSetup;
  readonly #on: WorkerEvents;
  #task: { job: Job; accept: JobPiece['accept'] } | null = null;
  #rested = true;
  #lastError: unknown = undefined;

  constructor(on: WorkerEvents) {
    this.#on = on;
    this.#setup = {
      control: new Int32Array(new SharedArrayBuffer(CONTROL_CELLS * Int32Array.BYTES_PER_ELEMENT)),
      incoming: new Uint8Array(new SharedArrayBuffer(WINDOW_BYTES)),
      outgoing: new Uint8Array(new SharedArrayBuffer(WINDOW_BYTES)),
    };
    this.#worker = new Worker(SCRIPT, {
      name: 'cryptotensors',
      workerData: this.#setup,
      env: {},
      execArgv: [],
      resourceLimits: RESOURCE_LIMITS,
      trackUnmanagedFds: false,
    });
    this.#worker.unref();
    this.#worker.on('message', (message: FromWorker) => this.#receive(message));
    this.#worker.on('error', (error) => (this.#lastError = error));
    this.#worker.on('exit', () => this.#lose());
  }

  /** Sends a piece. Until it has ended the thread keeps the process alive. */
  assign(job: Job, { piece, accept }: JobPiece): void {
    this.#task = { job, accept };
    this.#rested = false;
    Atomics.store(this.#setup.control, Control.stop, 0);
    this.#worker.ref();
    const inputs = piece.sources.map((index) => toRemote(job.sources[index]!.place, index));
    this.#post({ kind: 'work', piece, inputs, output: toRemote(job.target, 0) }, memoryOf(piece));
  }

  /** Asks the thread to leave what it is at. */
  stop(): void {
    Atomics.store(this.#setup.control, Control.stop, 1);
  }

  /** Lets the thread forget what passed through it, and the process end. */
  rest(): void {
    if (this.#rested) return;
    this.#rested = true;
    this.#post({ kind: 'rest' });
    this.#worker.unref();
  }

  #post(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #receive(message: FromWorker): void {
    if (this.#task === null) return;
    const { job, accept } = this.#task;
    switch (message.kind) {
      case 'fetch':
        this.#attempt(job, () => {
          const target = this.#setup.incoming.subarray(0, message.length);
          openInput(job.sources[message.source]!.place).read(message.position, target);
        });
        this.#answer();
        break;
      case 'deliver':
        this.#attempt(job, () => this.#deliver(job, message.rows));
        this.#answer();
        break;
      case 'progress':
        this.#attempt(job, () => job.advance(message.bytes));
        break;
      case 'ended':
        this.#task = null;
        if (message.fault !== null) job.fail(fromPlain(message.fault));
        this.#attempt(job, () => {
          this.#deliver(job, message.rows);
          accept?.(message.result);
          job.advance(message.bytes);
        });
        this.#on.free(job);
    }
  }

  /** Once the job has failed nothing is done for it; what fails here fails it. */
  #attempt(job: Job, work: () => void): void {
    if (job.failed) return;
    try {
      work();
    } catch (error) {
      job.fail(error);
      this.stop();
    }
  }

  #deliver(job: Job, rows: Float64Array): void {
    const output = openOutput(job.target);
    let at = 0;
    for (let row = 0; row < rows.length; row += 2) {
      const length = rows[row + 1]!;
      output.write(rows[row]!, this.#setup.outgoing.subarray(at, at + length));
      at += length;
    }
  }

  #answer(): void {
    Atomics.add(this.#setup.control, Control.turn, 1);
    Atomics.notify(this.#setup.control, Control.turn);
  }

  /** The thread has ended by itself: out of memory, or it could not be started. */
  #lose(): void {
    const job = this.#task?.job ?? null;
    this.#task = null;
    const reason = this.#lastError === undefined ? '' : `: ${asFault(this.#lastError).message}`;
    job?.fail(new EngineFault('InvalidOption', `a worker thread ended unexpectedly${reason}`));
    this.#on.lost(job);
  }
}
