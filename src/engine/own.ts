import { CryptoTensorsError } from '../errors.js';
import { nextTurn, step } from '../twin.js';
import type { Twin } from '../twin.js';
import { isDetached, isSafe, keepPrivate, part, takeOver } from './memory.js';
import type { Engine } from './types.js';
import { named, say } from '../wording.js';

/** What a caller allows to be done with memory that it gave to be read. */
export interface Ownership {
  /** What the memory is called in messages. */
  name: string;
  /** The caller hands it over: it need not be copied, and is gone for the caller where it could be moved. */
  transfer: boolean;
  /** Whether it is needed for longer than a call that blocks. */
  lasting: boolean;
}

/** So much is copied at a time before the event loop has its turn: a few milliseconds. */
const COPY_BYTES = 8 * 1024 * 1024;

/**
 * A caller's memory as memory that jobs may read while JavaScript runs: itself where it is shared, moved where the caller hands it
 * over and it can be moved, else a copy. The blocking form of work that ends with the call reads it where it is.
 *
 * @throws {CryptoTensorsError} `Detached` if it is transferred away while it is being copied
 */
export function* ownBytes(bytes: Uint8Array, engine: Engine, { name, transfer, lasting }: Ownership): Twin<Uint8Array> {
  if (isDetached(bytes)) throw detachedError(name);
  if (isSafe(bytes) || bytes.byteLength === 0) return bytes;
  if (transfer) {
    const taken = takeOver(bytes);
    if (taken !== null) return taken;
  }
  return yield* step(
    () => (lasting ? copyNow(bytes, engine) : bytes),
    () => copyInTurns(bytes, engine, name),
  );
}

function copyNow(bytes: Uint8Array, engine: Engine): Uint8Array {
  const copy = engine.allocateUnsafe(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

async function copyInTurns(bytes: Uint8Array, engine: Engine, name: string): Promise<Uint8Array> {
  const { byteLength } = bytes;
  const copy = engine.allocateUnsafe(byteLength);
  for (let at = 0; at < byteLength; at += COPY_BYTES) {
    if (at > 0) await nextTurn();
    if (isDetached(bytes) || bytes.byteLength !== byteLength) throw detachedError(name);
    copy.set(part(bytes, at, Math.min(COPY_BYTES, byteLength - at)), at);
  }
  return copy;
}

/** A copy of what is small or must not wait, in memory of the library's own. */
export function ownCopy(bytes: Uint8Array): Uint8Array {
  return keepPrivate(Uint8Array.from(bytes));
}

/** For memory that was transferred away before it was read. */
export function detachedError(name: string, details: { tensor?: string } = {}): CryptoTensorsError {
  return new CryptoTensorsError(
    'Detached',
    say`${named(name)} is memory that has been transferred away or has shrunk: its buffer is detached. Give what it was transferred to, and leave it alone until the work is done`,
    details,
  );
}
