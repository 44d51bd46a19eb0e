import { CryptoTensorsError, argumentError, quoteFile, quoteInput } from '../errors.js';
import type { ErrorDetails } from '../errors.js';
import type { Header } from '../format/header.js';
import type { Engine } from '../engine/types.js';
import { sha256Of } from './digests.js';
import { option, say } from '../wording.js';
import type { Wording } from '../wording.js';

/**
 * The pin of a file: the SHA-256, in hex, of its canonical header, which is what the signature covers (FORMAT.md §2). It is the
 * same however the header is spaced or padded, and says nothing about who signed it; anything else that changes in the header
 * changes the pin: a name, a tag, a wrapped key, the policy. The bytes of encrypted and of digested tensors are bound by it,
 * through their tags and digests; those of plain tensors, and of plain files, are not.
 */
export function pinOf(engine: Engine, header: Header): string {
  return sha256Of(engine, header.canonical());
}

const PREFIX = 'sha256:';

/** What the files of a model are to be, each once; undefined: anything. */
export type Pins = readonly string[] | undefined;

/**
 * The pins that the caller gave, as bare hex.
 *
 * @throws TypeError, InvalidOption
 */
export function parsePins(input: unknown): Pins {
  if (input === undefined) return undefined;
  const pins: unknown[] = Array.isArray(input) ? input : [input];
  if (pins.length === 0) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('pin')} is an empty list, which no model fits: leave it out`,
    );
  }
  return [...new Set(pins.map(parsePin))];
}

function parsePin(pin: unknown): string {
  if (typeof pin !== 'string') throw argumentError('options.pin', 'a string or a list of strings', pin);
  const digits = pin.startsWith(PREFIX) ? pin.slice(PREFIX.length) : pin;
  if (/^[0-9a-f]{64}$/.test(digits)) return digits;
  throw new CryptoTensorsError(
    'InvalidOption',
    say`${option('pin')} must be the SHA-256 of a canonical header, 64 lower-case hexadecimal digits, not ${quoteInput(pin)}`,
    { expected: '64 lower-case hexadecimal digits' },
  );
}

/**
 * Whether a file is one of those that are pinned.
 *
 * @throws PinMismatch
 */
export function checkPin(pins: Pins, engine: Engine, header: Header, path: string | undefined): void {
  if (pins === undefined) return;
  const found = pinOf(engine, header);
  if (!pins.includes(found)) throw anotherFile(pins, found, path);
}

/**
 * Whether the files of a model can be all that are pinned: before any of them is opened, so that the policy and the keys of none
 * are used where one is missing.
 *
 * @throws PinMismatch
 */
export function checkPinCount(pins: Pins, files: number, path: string | undefined): void {
  if (pins !== undefined && pins.length > files) {
    throw missingFile(say`${option('pin')} names ${pins.length} files, but the model has ${files}`, path, {
      expected: `${pins.length} files`,
      found: `${files} files`,
    });
  }
}

/**
 * Whether every pin is that of a file, once each file has passed `checkPin`.
 *
 * @throws PinMismatch
 */
export function checkAllPins(pins: Pins, engine: Engine, headers: readonly Header[], path: string | undefined): void {
  if (pins === undefined || pins.length === 1) return;
  const found = new Set(headers.map((header) => pinOf(engine, header)));
  const missing = pins.filter((pin) => !found.has(pin));
  if (missing.length === 0) return;
  throw missingFile(say`no file of the model has the pin ${list(missing.map(short))} of ${option('pin')}`, path, {
    expected: list(missing.map(short)),
    found: list([...found]),
  });
}

function anotherFile(expected: readonly string[], found: string, path: string | undefined): CryptoTensorsError {
  return new CryptoTensorsError(
    'PinMismatch',
    say`${quoteFile(path)} is not the one that is pinned: the SHA-256 of its header is ${found}, but ${option('pin')} asks for ${list(expected.map(short))}. It may be an older or newer version, or one that was made for another customer. If it is the one that you mean, pin that`,
    { expected: list(expected.map(short)), found, ...(path === undefined ? {} : { path }) },
  );
}

function missingFile(problem: Wording, path: string | undefined, details: ErrorDetails): CryptoTensorsError {
  return new CryptoTensorsError(
    'PinMismatch',
    say`${problem}: it must name each file of the model and no other. Take out the pins of other models, or fetch the file that is missing`,
    path === undefined ? details : { ...details, path },
  );
}

/** Enough of a pin that a caller gave to know it by, and not all: a key in hexadecimal passes for one. */
function short(pin: string): string {
  return `${pin.slice(0, 8)}...`;
}

const MAX_SHOWN = 3;

function list(pins: readonly string[]): string {
  const more = pins.length > MAX_SHOWN ? ` and ${pins.length - MAX_SHOWN} more` : '';
  return pins.slice(0, MAX_SHOWN).join(', ') + more;
}
