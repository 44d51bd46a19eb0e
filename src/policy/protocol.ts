import type { MessagePort } from 'node:worker_threads';

/** What the worker is started with. */
export interface WorkerSetup {
  port: MessagePort;
  /** One 32-bit integer: 1, with a notification, after each message of the worker; 0 from each request on. */
  wakeUp: SharedArrayBuffer;
  /** The compiled engine, if a worker before this one has compiled it. */
  module: WebAssembly.Module | undefined;
}

/** Everything that the worker says. Requests to it are the bytes of `encodeRequest`. */
export type WorkerMessage =
  /** First of all: it can take requests. */
  | { type: 'ready'; module: WebAssembly.Module }
  /** First of all: it cannot. */
  | { type: 'failed'; reason: string }
  /** JSON text of the engine's answer. */
  | { type: 'answer'; text: string }
  /** The engine stopped: memory or stack exhausted, or a panic. */
  | { type: 'trap'; reason: string };
