import { step } from '../../twin.js';
import type { Twin } from '../../twin.js';

/** Lets the event loop have its turn, where the work is awaited. */
export function pause(): Twin<void> {
  return step(() => undefined, nextTurn);
}

/** Browsers have no setImmediate, and clamp timers to milliseconds; a message arrives at the next turn. */
const nextTurn: () => Promise<void> =
  typeof setImmediate === 'function'
    ? () => new Promise((resolve) => setImmediate(resolve))
    : () =>
        new Promise((resolve) => {
          const { port1, port2 } = new MessageChannel();
          // As browsers type it.
          (port1 as unknown as { onmessage: () => void }).onmessage = () => {
            port1.close();
            resolve();
          };
          port2.postMessage(null);
        });
