import { isPromise } from 'node:util/types';
import { CryptoTensorsError } from '../errors.js';
import { isThenable, withoutPrototype } from '../options.js';
import type { ErrorCode } from '../errors.js';
import { copiedBytes, copiedTensors } from '../format/plan.js';
import type { ReadRequest } from '../engine/types.js';
import type { MasterKey, RecipientKey, SigningKey } from '../keys/types.js';
import type { Twin } from '../twin.js';
import type { Model } from './model.js';
import { option, say } from '../wording.js';

/**
 * What happened to a model, for a log of who used what. Ids, names and reasons; never a key, a claim or a value of the
 * environment.
 */
export type AuditEvent = {
  readonly time: Date;
  /** The file concerned: a single file, a shard, or the index of a sharded model where no shard in particular is. Null for bytes. */
  readonly path: string | null;
} & (OpenedEvent | DeniedEvent | KeyUsedEvent | TensorsReadEvent);

/** A file was opened, or attached to: one event per file of a sharded model, after all of them passed. */
interface OpenedEvent {
  readonly type: 'opened';
  /** Key id of the signer, verified. Null for a plain file, or where the key has no id. */
  readonly signer: string | null;
  /** Key id of the master key that the header names. */
  readonly kid: string | null;
  /** How many tensors are in the file. */
  readonly tensors: number;
  /** False for a plain file. */
  readonly encrypted: boolean;
}

/** An opening or a read was refused with a `CryptoTensorsError`. One that an `AbortSignal` ended is no refusal. */
interface DeniedEvent {
  readonly type: 'denied';
  readonly code: ErrorCode;
  /** The error's message. */
  readonly reason: string;
  readonly tensor?: string;
}

/** A key verified a signature, opened a licence, or is about to unwrap the data keys of a file. */
interface KeyUsedEvent {
  readonly type: 'key-used';
  readonly kid: string | null;
  readonly role: 'master' | 'verifying' | 'recipient';
  /** Name of the provider that gave the key; null for a key out of `keys` or `trust`. */
  readonly provider: string | null;
}

/** Tensors of one file passed their checks, whole or in part, and are about to be handed over. */
interface TensorsReadEvent {
  readonly type: 'tensors-read';
  readonly names: readonly string[];
  /** How many bytes of them were asked for. */
  readonly bytes: number;
}

/**
 * Gets each event, at once and on the caller's thread. **What it throws refuses the work**: what cannot be logged does not
 * happen. After a refusal it can no longer change anything, and the refusal is what is thrown. Must not return a promise.
 */
export type AuditListener = (event: AuditEvent) => void;

/** Distributes over the union, which `Omit` does not. */
type Unstamped<Event> = Event extends unknown ? Omit<Event, 'time'> : never;

/** Where a piece of work happens, for refusals. */
export interface AuditScope {
  /** The model's file, or its index. */
  path: string | undefined;
  /** Files of the model that an error may name. */
  files: readonly (string | undefined)[];
}

/** Tells the caller's listener. Made only where there is one: who has none pays for a comparison with null. */
export class Audit {
  readonly #listener: AuditListener;

  constructor(listener: AuditListener) {
    this.#listener = listener;
  }

  opened({ path, header, encryption }: Pick<Model, 'path' | 'header' | 'encryption'>): void {
    this.#tell({
      type: 'opened',
      path: path ?? null,
      signer: encryption?.signer ?? null,
      kid: encryption?.keys.enc.kid ?? null,
      tensors: header.count,
      encrypted: encryption !== null,
    });
  }

  keyUsed(
    role: 'master' | 'verifying' | 'recipient',
    key: MasterKey | SigningKey | RecipientKey,
    path: string | undefined,
  ): void {
    this.#tell({
      type: 'key-used',
      path: path ?? null,
      kid: key.kid,
      role,
      provider: withoutPrototype(key).provider ?? null,
    });
  }

  tensorsRead({ path }: Pick<Model, 'path'>, names: readonly string[], bytes: number): void {
    this.#tell({ type: 'tensors-read', path: path ?? null, names, bytes });
  }

  /** The same for a whole file: of all tensors, or of those that something protects, where only the checks were wanted. */
  wholeFileRead({ path, header, checks }: Model, onlyChecked = false): void {
    const names: string[] = [];
    let bytes = 0;
    for (const [i, name] of header.names.entries()) {
      if (onlyChecked && checks[i] === 'none') continue;
      names.push(name);
      bytes += header.end[i]! - header.begin[i]!;
    }
    this.tensorsRead({ path }, names, bytes);
  }

  /** The same for what a read copied. */
  copied(model: Pick<Model, 'path' | 'header'>, copies: ReadRequest['copies']): void {
    const names = copiedTensors(copies).map((tensor) => model.header.names[tensor]!);
    this.tensorsRead(model, names, copiedBytes(copies));
  }

  /** Never throws: the refusal itself is what the caller must get. */
  denied(error: unknown, { path, files }: AuditScope): void {
    if (!(error instanceof CryptoTensorsError)) return;
    const named = error.path !== undefined && files.includes(error.path) ? error.path : path;
    try {
      this.#tell({
        type: 'denied',
        path: named ?? null,
        code: error.code,
        reason: error.message,
        ...(error.tensor === undefined ? {} : { tensor: error.tensor }),
      });
    } catch {
      // The work is refused already.
    }
  }

  #tell(event: Unstamped<AuditEvent>): void {
    // Its type says that there is none, which nobody enforces.
    const listener: (event: AuditEvent) => unknown = this.#listener;
    const answer = listener({ time: new Date(), ...event });
    if (!isThenable(answer)) return;
    // Nobody waits for it, and it may fail. What is no promise and begins its work when it is awaited (query builders) stays undone.
    if (isPromise(answer)) answer.catch(() => undefined);
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('onEvent')} returned a promise or something else to be awaited, which could refuse nothing any more: it must be done when it returns`,
    );
  }
}

export function auditOf({ onEvent }: { onEvent?: AuditListener | undefined }): Audit | null {
  return onEvent === undefined ? null : new Audit(onEvent);
}

/** Does the work, and tells of its refusal. */
export function* audited<Result>(audit: Audit | null, scope: AuditScope, work: Twin<Result>): Twin<Result> {
  try {
    return yield* work;
  } catch (error) {
    audit?.denied(error, scope);
    throw error;
  }
}
