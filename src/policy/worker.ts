/** Entry of the worker thread that policies run in. It can be terminated at any moment, and keeps nothing. */
import { workerData } from 'node:worker_threads';
import { compileModule, evaluateIn, instantiate } from './module.js';
import type { WorkerSetup, WorkerMessage } from './protocol.js';

const { port, wakeUp, module: given } = workerData as WorkerSetup;
const bell = new Int32Array(wakeUp);

/** Any request that parses a policy, reads its input and compares. */
const REHEARSAL = new TextEncoder().encode(
  '{"policy":"package model\\nallow if input.a.b == time.now_ns()","rule":"allow","input":{"a":{"b":1}},"now_ns":1}',
);

/** Sends, and then wakes whoever blocks on the bell (the Sync forms). */
function send(message: WorkerMessage): void {
  port.postMessage(message);
  Atomics.store(bell, 0, 1);
  Atomics.notify(bell, 0);
}

function start(): void {
  const module = given ?? compileModule();
  // V8 compiles a function when it is first called: not within the deadline of the first policy.
  evaluateIn(instantiate(module), REHEARSAL);
  // Each is used once. Made ahead, while nobody waits for an answer.
  let fresh = instantiate(module);
  port.on('message', (request: Uint8Array) => {
    let text: string;
    try {
      text = evaluateIn(fresh, request);
    } catch (error) {
      // The host keeps no worker in which an engine trapped.
      send({ type: 'trap', reason: String(error) });
      return;
    }
    send({ type: 'answer', text });
    fresh = instantiate(module);
  });
  send({ type: 'ready', module });
}

try {
  start();
} catch (error) {
  send({ type: 'failed', reason: String(error) });
}
