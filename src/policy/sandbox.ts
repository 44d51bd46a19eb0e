import { MessageChannel, Worker, receiveMessageOnPort } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import { onAbort } from '../abort.js';
import type { WorkerMessage, WorkerSetup } from './protocol.js';

/** What the host hears of a worker: its messages, or why there is none. */
export type Heard =
  | WorkerMessage
  /** The time is over, or the signal was aborted. */
  | { type: 'silence' }
  /** The worker has ended by itself. */
  | { type: 'lost'; reason: string };

/**
 * A worker thread with the policy engine in it, and the channel to it. While nobody waits for a message it keeps no process
 * alive. It knows nothing of policies: that is `host.ts`.
 */
export class Sandbox {
  private readonly worker: Worker;
  private readonly port: MessagePort;
  /** See `WorkerSetup.wakeUp`. */
  private readonly bell: Int32Array;
  private reportEnd: ((heard: Heard) => void) | undefined;
  private lost: (Heard & { type: 'lost' }) | undefined;

  /** @param module the engine, if it has been compiled already */
  constructor(module: WebAssembly.Module | undefined) {
    const wakeUp = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const { port1, port2 } = new MessageChannel();
    const setup: WorkerSetup = { port: port2, wakeUp, module };
    this.bell = new Int32Array(wakeUp);
    this.port = port1;
    this.worker = new Worker(new URL('./worker.js', import.meta.url), {
      name: 'cryptotensors-policy',
      workerData: setup,
      transferList: [port2],
      // Nothing of the process: no environment, no flags (a preloaded module, an inspector), no shared output.
      env: {},
      execArgv: [],
      stdout: true,
      stderr: true,
      // Of V8's heap, which holds little else than requests. The engine's own memory is limited by its module.
      resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 16, stackSizeMb: 4 },
    });
    this.worker.on('error', (error: unknown) => this.lose(String(error)));
    this.worker.on('exit', (code) => this.lose(`its thread ended with code ${code}`));
    this.worker.unref();
  }

  /** Whether the worker has ended by itself, as far as the event loop has told. */
  get isLost(): boolean {
    return this.lost !== undefined;
  }

  /** Sends a request, which is transferred. */
  post(request: Uint8Array<ArrayBuffer>): void {
    Atomics.store(this.bell, 0, 0);
    this.port.postMessage(request, [request.buffer]);
  }

  /** The next message; silence after `milliseconds` without one, or when `signal` is aborted. */
  next(milliseconds: number, signal?: AbortSignal): Promise<Heard> {
    if (this.lost !== undefined) return Promise.resolve(this.lost);
    return new Promise((resolve) => {
      const settle = (heard: Heard): void => {
        clearTimeout(timer);
        ignore();
        this.port.off('message', settle);
        this.port.unref();
        this.worker.unref();
        this.reportEnd = undefined;
        resolve(heard);
      };
      const interrupt = (): void => settle({ type: 'silence' });
      // A message that has come while the event loop was busy elsewhere is in time.
      const timer = setTimeout(() => settle(this.take() ?? { type: 'silence' }), milliseconds);
      const ignore = onAbort(signal, interrupt);
      this.reportEnd = settle;
      this.worker.ref();
      this.port.on('message', settle);
    });
  }

  /** The same, blocking the thread. */
  nextSync(milliseconds: number): Heard {
    // Wakes at once if the bell has rung since the last `post`.
    Atomics.wait(this.bell, 0, 0, milliseconds);
    return this.take() ?? { type: 'silence' };
  }

  /** Ends the worker, also in the middle of an evaluation. */
  end(): void {
    this.port.close();
    void this.worker.terminate();
  }

  private take(): WorkerMessage | undefined {
    return (receiveMessageOnPort(this.port) as { message: WorkerMessage } | undefined)?.message;
  }

  private lose(reason: string): void {
    this.lost ??= { type: 'lost', reason };
    this.reportEnd?.(this.lost);
  }
}
