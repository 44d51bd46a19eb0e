import type { KeyOrigin } from '../jwk-document.js';
import type { KeyRing } from '../keyring.js';

/*
 * What built-in providers say about their answers beyond what the public interface has words for.
 */

const origins = new WeakMap<Uint8Array, KeyOrigin>();
const handedOver = new WeakSet<KeyRing>();

/** Says where JSON text came from, so that an error in it names that place. */
export function fromOrigin(text: Uint8Array, origin: KeyOrigin): Uint8Array {
  origins.set(text, origin);
  return text;
}

export function originOf(text: Uint8Array): KeyOrigin | undefined {
  return origins.get(text);
}

/** Says that a ring was made for this answer alone: whoever reads the answer takes its keys over. */
export function handOver(ring: KeyRing): KeyRing {
  handedOver.add(ring);
  return ring;
}

export function isHandedOver(ring: KeyRing): boolean {
  return handedOver.has(ring);
}
