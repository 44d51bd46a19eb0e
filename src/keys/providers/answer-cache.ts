import type { KeyRing } from '../keyring.js';

interface Entry {
  readonly ring: KeyRing;
  readonly expires: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Rings of keys by name, for a time: at most `maxEntries`, the least recently used goes first. A ring that goes, by age, for
 * want of room or with the cache, is wiped.
 */
export class AnswerCache {
  readonly #entries = new Map<string, Entry>();

  constructor(
    private readonly ttlMs: number,
    private readonly maxEntries: number,
  ) {}

  get(name: string): KeyRing | null {
    const entry = this.#entries.get(name);
    if (entry === undefined) return null;
    // Timers are late where the event loop is blocked.
    if (performance.now() >= entry.expires) {
      this.delete(name);
      return null;
    }
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    return entry.ring;
  }

  /** Takes the ring over. */
  set(name: string, ring: KeyRing): void {
    this.delete(name);
    // Not only looked at when asked: a key that is out of date does not stay in memory.
    const timer = setTimeout(() => this.delete(name), this.ttlMs);
    timer.unref();
    this.#entries.set(name, { ring, expires: performance.now() + this.ttlMs, timer });
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= this.maxEntries) break;
      this.#entries.delete(oldest);
      clearTimeout(entry.timer);
      // Not at once: those who waited for that ring take what they need of it before the event loop goes on.
      setImmediate(() => entry.ring.dispose());
    }
  }

  delete(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    clearTimeout(entry.timer);
    entry.ring.dispose();
  }

  clear(): void {
    for (const name of [...this.#entries.keys()]) this.delete(name);
  }
}
