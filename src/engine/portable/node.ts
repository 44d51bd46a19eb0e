import type { Engine } from '../types.js';
import { createPortableEngine } from './engine.js';
import { nodeCrypto } from './node-crypto.js';
import { nodeFiles } from './node-files.js';

/** The portable engine on node:crypto and node:fs. */
export function createNodeEngine(): Engine {
  return createPortableEngine(nodeCrypto, nodeFiles);
}
