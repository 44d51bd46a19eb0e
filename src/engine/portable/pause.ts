import { nextTurn, step } from '../../twin.js';
import type { Twin } from '../../twin.js';

/** Lets the event loop have its turn, where the work is awaited. */
export function pause(): Twin<void> {
  return step(() => undefined, nextTurn);
}
