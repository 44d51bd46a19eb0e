import { argumentError } from '../errors.js';
import type { Handle } from './addon.js';

let readHandle: (value: object) => Handle<string> | undefined;

/** Something of the addon's behind a JavaScript object. The handle is private, so that nobody swaps it. */
export abstract class NativeObject<Kind extends string> {
  readonly #handle: Handle<Kind>;
  readonly #close: (handle: Handle<Kind>) => void;

  constructor(handle: Handle<Kind>, close: (handle: Handle<Kind>) => void) {
    this.#handle = handle;
    this.#close = close;
  }

  static {
    readHandle = (value) => (#handle in value ? value.#handle : undefined);
  }

  protected get handle(): Handle<Kind> {
    return this.#handle;
  }

  /** Idempotent. Jobs under way keep what they need. */
  protected closeHandle(): void {
    this.#close(this.#handle);
  }
}

/**
 * The handle of an object that came in as an argument. Whether it is of the right kind the addon checks.
 *
 * @throws {TypeError} if it is not one of this engine's objects
 */
export function handleOf<Kind extends string>(value: unknown, kind: Kind): Handle<Kind> {
  const handle = typeof value === 'object' && value !== null ? readHandle(value) : undefined;
  if (handle === undefined) throw argumentError(kind, `a ${kind} made by this engine`, value);
  return handle as Handle<Kind>;
}
