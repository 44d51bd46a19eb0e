import { getEngine } from '#dist/engine/load.js';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import type { Engine } from '#dist/engine/types.js';

/** The engine of this process, which is the addon, and the portable one: what is asked of one is asked of the other. */
export const ENGINES: readonly [name: Engine['name'], engine: Engine][] = [
  ['native', getEngine()],
  ['portable', createNodeEngine()],
];
