import { isShared, takeOver } from '../engine/memory.js';
import type { Engine } from '../engine/types.js';

/**
 * Whose memory it is. `own`: the library allocated it; it is the caller's now. `given`: a caller's `into`. `mapped`: the file's own pages.
 */
export type MemoryKind = 'own' | 'given' | 'mapped';

/** The memory that one read filled. Its tensors share it, and it is given back when the last of them is disposed of. */
export class TensorMemory {
  readonly #engine: Engine;
  /** All that the read filled. */
  readonly #bytes: Uint8Array;
  readonly #kind: MemoryKind;
  #live = 0;

  constructor(engine: Engine, bytes: Uint8Array, kind: MemoryKind) {
    this.#engine = engine;
    this.#bytes = bytes;
    this.#kind = kind;
  }

  /** Tensors that were not disposed of. */
  get live(): number {
    return this.#live;
  }

  retain(): void {
    this.#live++;
  }

  release(): void {
    this.#live--;
    if (this.#live > 0 || this.#kind !== 'own' || isShared(this.#bytes)) return;
    // Out of everybody's hands first, so that nobody finds it emptied under their eyes.
    const taken = takeOver(this.#bytes);
    if (taken !== null) this.#free(taken);
  }

  /** Wipes part of it, blocking. */
  wipe(bytes: Uint8Array): void {
    if (this.#kind !== 'mapped') this.#engine.wipeAll(bytes, this.#kind === 'own');
  }

  /**
   * Wipes all of it by the pool's threads, if that can be done while JavaScript runs: shared memory where it is, other memory after
   * it was taken out of everybody's hands. False if not.
   */
  async wipeWhole(): Promise<boolean> {
    if (this.#kind === 'mapped') return true;
    if (isShared(this.#bytes)) {
      await this.#engine.wipeAllAsync(this.#bytes, this.#kind === 'own');
      return true;
    }
    // A caller's memory stays the caller's.
    const taken = this.#kind === 'own' ? takeOver(this.#bytes) : null;
    if (taken === null) return false;
    await this.#engine.wipeAllAsync(taken, true);
    this.#free(taken);
    return true;
  }

  #free(bytes: Uint8Array): void {
    this.#engine.release(bytes);
    // Node.js 20 has no `transfer`; there the addresses, without pages, wait for the garbage collector.
    const buffer = bytes.buffer as { transfer?: (length: number) => ArrayBuffer };
    buffer.transfer?.(0);
  }
}
