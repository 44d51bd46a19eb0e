import { CryptoTensorsError, argumentError, quote } from '../errors.js';
import type { Header } from '../format/header.js';
import type { Engine } from '../engine/types.js';

/**
 * The pin of a file: the SHA-256, in hex, of its canonical header, which is what the signature covers (FORMAT.md §2). It is the
 * same however the header is spaced or padded, and says nothing about who signed it; anything else that changes in the header
 * changes the pin: a name, a tag, a wrapped key, the policy. The bytes of encrypted and of digested tensors are bound by it,
 * through their tags and digests; those of plain tensors, and of plain files, are not.
 */
export function pinOf(engine: Engine, header: Header): string {
  return Buffer.from(engine.digest('sha256', header.canonical())).toString('hex');
}

const PREFIX = 'sha256:';

/**
 * The pins that the caller gave, as bare hex.
 *
 * @throws TypeError, InvalidOption
 */
export function parsePins(input: unknown): readonly string[] | undefined {
  if (input === undefined) return undefined;
  const list: unknown[] = Array.isArray(input) ? input : [input];
  if (list.length === 0) {
    throw new CryptoTensorsError('InvalidOption', 'options.pin is an empty list, which no model fits: leave it out');
  }
  return list.map((pin) => {
    if (typeof pin !== 'string') throw argumentError('options.pin', 'a string or a list of strings', pin);
    const digits = pin.startsWith(PREFIX) ? pin.slice(PREFIX.length) : pin;
    if (/^[0-9a-f]{64}$/.test(digits)) return digits;
    throw new CryptoTensorsError(
      'InvalidOption',
      `options.pin must be the SHA-256 of a canonical header, 64 lower-case hexadecimal digits, not ${quote(pin)}`,
      { expected: '64 lower-case hexadecimal digits' },
    );
  });
}

/** Holds the files of one model against the caller's pins, which must be exactly the files' own. */
export class PinCheck {
  readonly #expected: ReadonlySet<string>;
  readonly #missing: Set<string>;
  #filesLeft: number;

  /** @param files how many files the model has */
  constructor(pins: readonly string[], files: number) {
    this.#expected = new Set(pins);
    this.#missing = new Set(pins);
    this.#filesLeft = files;
  }

  /**
   * To be called once per file.
   *
   * @throws PinMismatch for another file; or as soon as a pin is left that no file can have any more
   */
  check(engine: Engine, header: Header, path: string | undefined): void {
    const found = pinOf(engine, header);
    if (!this.#expected.has(found)) throw anotherFile([...this.#expected], found, path);
    this.#missing.delete(found);
    this.#filesLeft--;
    if (this.#missing.size > this.#filesLeft) throw missingFile([...this.#missing], found, path);
  }
}

function anotherFile(expected: readonly string[], found: string, path: string | undefined): CryptoTensorsError {
  return new CryptoTensorsError(
    'PinMismatch',
    `${path === undefined ? 'the file' : quote(path)} is not the one that is pinned: the SHA-256 of its header is ${found}, but options.pin asks for ${list(expected)}. It may be an older or newer version, or one that was made for another customer. If it is the one that you mean, pin that`,
    { expected: list(expected), found, ...(path === undefined ? {} : { path }) },
  );
}

function missingFile(missing: readonly string[], found: string, path: string | undefined): CryptoTensorsError {
  return new CryptoTensorsError(
    'PinMismatch',
    `no file of the model has the pin ${list(missing)} of options.pin, which must name each file once and no other. Take out the pins of other models, or fetch the file that is missing`,
    { expected: list(missing), found, ...(path === undefined ? {} : { path }) },
  );
}

const MAX_SHOWN = 3;

function list(pins: readonly string[]): string {
  const more = pins.length > MAX_SHOWN ? ` and ${pins.length - MAX_SHOWN} more` : '';
  return pins.slice(0, MAX_SHOWN).join(', ') + more;
}
