import { CryptoTensorsError } from '../errors.js';
import type { Engine } from '../engine/types.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import type { Audit, AuditScope } from '../model/audit.js';
import type { ReadOptions } from './options.js';
import type { ReadContext } from './read-tensors.js';
import { linkSignals } from './signals.js';

/** What a file was opened with that concerns its reads. */
export interface ReadDefaults {
  threads?: number | undefined;
}

/** Whom to tell of the reads, and what of. */
export interface ReadAudit {
  audit: Audit | null;
  scope: AuditScope;
}

/** The reads of one open file: they begin only while it is open, and end when it is closed. */
export class Reads {
  readonly #engine: Engine;
  readonly #defaults: ReadDefaults;
  readonly #audit: Audit | null;
  readonly #scope: AuditScope;
  readonly #closing = new AbortController();
  readonly #running = new Set<Promise<unknown>>();

  constructor(engine: Engine, defaults: ReadDefaults, { audit, scope }: ReadAudit) {
    this.#engine = engine;
    this.#defaults = defaults;
    this.#audit = audit;
    this.#scope = scope;
  }

  get closed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** @throws {CryptoTensorsError} `Closed` */
  assertOpen(): void {
    if (this.closed) throw closedError();
  }

  #assertReadable(): void {
    if (this.closed) throw this.denied(closedError());
  }

  /** Tells of a refusal. @returns it, to be thrown */
  denied(error: unknown): unknown {
    this.#audit?.denied(error, this.#scope);
    return error;
  }

  /** Runs a read on pool threads. @throws {CryptoTensorsError} `Closed` if the file is closed before it ends */
  async run<Result>(options: ReadOptions, procedure: (context: ReadContext) => Twin<Result>): Promise<Result> {
    this.#assertReadable();
    const { signal, unlink } = this.#link(options);
    const running = runAsync(procedure(this.#context(options, signal)));
    this.#running.add(running);
    try {
      return await running;
    } catch (error) {
      throw this.denied(this.closed ? closedError(error) : error);
    } finally {
      this.#running.delete(running);
      unlink();
    }
  }

  /** The same, blocking the calling thread. */
  runSync<Result>(options: ReadOptions, procedure: (context: ReadContext) => Twin<Result>): Result {
    this.#assertReadable();
    const { signal, unlink } = this.#link(options);
    try {
      return runSync(procedure(this.#context(options, signal)));
    } catch (error) {
      throw this.denied(error);
    } finally {
      unlink();
    }
  }

  /** No read begins any more, those under way are stopped. */
  close(): void {
    this.#closing.abort();
  }

  /** Settles once no read is under way. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  #link(options: ReadOptions) {
    return linkSignals([this.#closing.signal, options.signal]);
  }

  #context(options: ReadOptions, signal: AbortSignal): ReadContext {
    return {
      engine: this.#engine,
      threads: options.threads ?? this.#defaults.threads ?? 0,
      signal,
      onProgress: options.onProgress,
      audit: this.#audit,
    };
  }
}

function closedError(cause?: unknown): CryptoTensorsError {
  return new CryptoTensorsError('Closed', 'the model was closed; open it again to read from it', { cause });
}
