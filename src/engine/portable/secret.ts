import type { Secret } from '../types.js';
import { decodeKeyBase64 } from '../../format/key-base64.js';
import type { Twin } from '../../twin.js';
import { closedFault } from './lease.js';

/** More than the data keys of the largest header. */
const MAX_SECRET_BYTES = 64 * 1024 * 1024;

/** Wipes the bytes of secrets that were collected without having been disposed. */
const forgotten = new FinalizationRegistry<Uint8Array>((bytes) => bytes.fill(0));

let reveal: (secret: PortableSecret) => Uint8Array<ArrayBuffer> | null;

/**
 * Zeroed memory for a key. V8 moves the bytes of small typed arrays about, leaving copies behind, unless they were made over
 * a buffer of their own.
 */
export function keyMemory(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(byteLength));
}

/** The bytes of keys, copied to memory of their own. */
export function copyOfKeys(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const memory = keyMemory(bytes.byteLength);
  memory.set(bytes);
  return memory;
}

/** A key in memory of its own, wiped on `dispose()` and on collection. Shows its length and nothing else. */
export class PortableSecret implements Secret {
  #bytes: Uint8Array<ArrayBuffer> | null;
  readonly byteLength: number;

  static {
    reveal = (secret) => secret.#bytes;
  }

  /** Takes the memory over. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.byteLength = bytes.byteLength;
    forgotten.register(this, bytes);
  }

  dispose(): void {
    this.#bytes?.fill(0);
    this.#bytes = null;
  }

  toString(): string {
    return `Secret(${this.byteLength} bytes)`;
  }

  toJSON(): string {
    return this.toString();
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }
}

/**
 * The bytes behind a secret, not a copy.
 *
 * @throws EngineFault `Closed` if it was disposed
 */
export function secretBytes(secret: Secret, name = 'secret'): Uint8Array<ArrayBuffer> {
  if (!(secret instanceof PortableSecret)) throw new TypeError(`${name} must be a secret made by this engine`);
  const bytes = reveal(secret);
  if (bytes === null) throw closedFault(name);
  return bytes;
}

/** Memory for a secret, whose size anybody may have chosen. */
export function secretMemory(byteLength: number): Uint8Array<ArrayBuffer> {
  if (byteLength > MAX_SECRET_BYTES) throw new RangeError('a secret has at most 64 MiB');
  return keyMemory(byteLength);
}

export function importSecret(bytes: Uint8Array): PortableSecret {
  const memory = secretMemory(bytes.byteLength);
  memory.set(bytes);
  return new PortableSecret(memory);
}

export function importSecretBase64(text: Uint8Array): PortableSecret | null {
  const bytes = decodeKeyBase64(text, secretMemory);
  return bytes === null ? null : new PortableSecret(bytes);
}

/** Works with copies of keys, which are wiped: the caller may dispose of the secrets meanwhile. */
export function* withKeys<Result>(
  secrets: readonly [name: string, secret: Secret][],
  work: (...keys: Uint8Array<ArrayBuffer>[]) => Twin<Result>,
): Twin<Result> {
  const keys = secrets.map(([name, secret]) => secretBytes(secret, name)).map(copyOfKeys);
  try {
    return yield* work(...keys);
  } finally {
    for (const key of keys) key.fill(0);
  }
}

/** Takes a time that depends on the lengths alone. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.byteLength !== b.byteLength) return false;
  let difference = 0;
  for (let i = 0; i < a.byteLength; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}
