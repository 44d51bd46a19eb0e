import { Wording, named, remember, say } from './wording.js';

/**
 * Every way in which a file, a key, a policy or an option can be refused.
 *
 * The first group are safetensors' own names (FORMAT.md §1); the second is this library's.
 */
export type ErrorCode =
  // The safetensors layer.
  | 'HeaderTooSmall'
  | 'HeaderTooLarge'
  | 'InvalidHeaderLength'
  | 'InvalidHeader'
  | 'InvalidHeaderDeserialization'
  | 'InvalidOffset'
  | 'TensorInvalidInfo'
  | 'ValidationOverflow'
  | 'MisalignedSlice'
  | 'MetadataIncompleteBuffer'
  | 'TensorNotFound'
  | 'TooManySlices'
  | 'SliceOutOfRange'
  // Encryption, trust and access.
  | 'BadSignature'
  | 'UntrustedSigner'
  | 'PinMismatch'
  | 'BadTag'
  | 'BadDigest'
  | 'KeyNotFound'
  | 'KeyUnavailable'
  | 'InvalidKey'
  | 'KeyRevoked'
  | 'PolicyDenied'
  | 'PolicyError'
  | 'NotEncrypted'
  | 'UnsupportedVersion'
  | 'UnsupportedAlgorithm'
  | 'InvalidCryptoMetadata'
  | 'ModelMismatch'
  // Licences.
  | 'InvalidLicense'
  | 'LicenseMismatch'
  | 'LicenseExpired'
  | 'LicenseNotYetValid'
  // The world around the file.
  | 'FileChanged'
  | 'FileError'
  | 'FileBusy'
  | 'InvalidIndex'
  | 'InvalidOption'
  | 'Closed'
  | 'OutOfMemory'
  | 'OutOfDescriptors'
  | 'Detached'
  | 'NativeUnavailable';

/** What an error says besides its message. All fields are safe to log: never a key, never plaintext. */
export interface ErrorDetails {
  /** Path of the file concerned. */
  path?: string;
  /** Name of the tensor concerned. */
  tensor?: string;
  /** Index of the chunk concerned, counted from the start of its tensor. */
  chunk?: number;
  /** What should have been there. */
  expected?: string;
  /** What was there. */
  found?: string;
  /** Byte position in the text that was being parsed. */
  position?: number;
  /** Key id (`kid`) concerned. */
  kid?: string | null;
  /** The operating system's own code, such as `ENOENT`, for `FileError`. */
  systemCode?: string;
  /** Path of the option to blame, such as `policy.fuel` for `options.policy.fuel`. */
  option?: string;
  /** Of `KeyUnavailable`: whether the same call may succeed later, as after a time-out. */
  retryable?: boolean;
  cause?: unknown;
}

/**
 * The one error class of this library. `code` is stable and meant for programs; `message` is meant for people and says
 * what was expected, what was found, where, and what to do about it.
 */
export class CryptoTensorsError extends Error {
  readonly code: ErrorCode;
  declare readonly path?: string;
  declare readonly tensor?: string;
  declare readonly chunk?: number;
  declare readonly expected?: string;
  declare readonly found?: string;
  declare readonly position?: number;
  declare readonly kid?: string | null;
  declare readonly systemCode?: string;
  declare readonly option?: string;
  declare readonly retryable?: boolean;

  /** @param message a text, or a wording, whose first option is the one to blame */
  constructor(code: ErrorCode, message: string | Wording, details: ErrorDetails = {}) {
    // Nothing that is not said comes from Object.prototype.
    const { cause, ...fields } = Object.assign(Object.create(null) as ErrorDetails, details);
    super(String(message), cause === undefined ? undefined : { cause });
    this.code = code;
    if (message instanceof Wording) {
      remember(this, message);
      if (message.option !== undefined) this.option = message.option;
    }
    Object.assign(this, fields);
  }

  override get name(): string {
    return 'CryptoTensorsError';
  }
}

/** What an error says besides code, message and cause: for one that says the same and more. */
export function detailsOf(error: CryptoTensorsError): ErrorDetails {
  const details: Partial<ErrorDetails & { code: ErrorCode }> = Object.assign({}, error);
  delete details.code;
  return details;
}

/** Thrown when a caller's `AbortSignal` ended the work. `cause` is the signal's reason, as in Node's own APIs. */
export class AbortError extends Error {
  readonly code = 'ABORT_ERR';

  constructor(reason?: unknown) {
    super('The operation was aborted', reason === undefined ? undefined : { cause: reason });
  }

  override get name(): string {
    return 'AbortError';
  }
}

/**
 * A short, printable form of a value found in a file, for messages: quoted, control characters escaped, cut at 80
 * characters, so that a hostile name can neither fill a log nor forge a line in it.
 */
export function quote(text: string): string {
  return quoteWhole(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

function quoteWhole(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Of a long path the end says most: the name of the file. */
const [PATH_START, PATH_END] = [20, 100];

/** A path for messages: as `quote`, but of a long one the middle is left out, not the name at its end. */
export function quotePath(path: string): string {
  if (path.length <= PATH_START + PATH_END) return quoteWhole(path);
  return quoteWhole(`${path.slice(0, PATH_START)}...${path.slice(-PATH_END)}`);
}

/**
 * What a caller handed in, for messages: as `quote` shows it, unless it could be a key that was put in the wrong place. Of what is
 * in a file everybody who has the file can see it; of this only the caller should.
 */
export function quoteInput(text: string): string {
  return looksSecret(text) ? `(${text.length} characters, not shown: they could be a key)` : quote(text);
}

/** A name that a caller handed in, as a detail of an error, unless it could be a key. */
export function inputDetail<Name extends 'tensor' | 'kid', Text extends string | null>(
  name: Name,
  text: Text,
): Partial<Record<Name, Text>> {
  return text !== null && looksSecret(text) ? {} : ({ [name]: text } as Partial<Record<Name, Text>>);
}

/** The shortest key in base64: 16 bytes. */
const MIN_BASE64 = /[A-Za-z0-9+/_-]{22,}/g;
/** The same in hexadecimal. */
const MIN_HEX = /[0-9A-Fa-f]{32,}/;

/**
 * Whether key material may be in a text, as raw bytes, in hexadecimal, base64 or base64url. Words, and paths of words, are told
 * from it by how seldom their letters change between cases and digits: of random keys of 16 bytes one in some ten thousand passes for words, of 32 bytes none.
 */
export function looksSecret(text: string): boolean {
  return (
    isRaw(text) ||
    MIN_HEX.test(text) ||
    (text.match(MIN_BASE64) ?? []).some((run) => changesOfKind(run) > 0.12 * (run.length - 1))
  );
}

/** A path that says so: `./x`, `../x`, `~/x`, `C:\x`, `\\server`, `/word/x`. No spelling of a key begins like that but by rare chance. */
const ANCHORED = /^(?:\.{1,2}[/\\]|~[/\\]|[A-Za-z]:[/\\]|\\\\|\/[a-z._-]{2,}\/)/;
/** A name in a folder, whose name is a hash: of caches. */
const HASH_IN_FOLDER = /^(?:[A-Za-z._-]+\/)+[0-9a-f]+$/;
/** A file's name that ends in a word: no spelling of a key has a dot. */
const HAS_EXTENSION = /\.[A-Za-z][A-Za-z0-9_-]{0,15}$/;
// eslint-disable-next-line no-control-regex -- that is what bytes look like that were made a text
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** Whether a text is what becomes of 16 or more random bytes that are read as Latin-1: controls and signs among them. */
function isRaw(text: string): boolean {
  if (text.length < 16) return false;
  // eslint-disable-next-line no-control-regex -- the characters of Latin-1 begin with controls
  if (!/^[\u0000-\u00ff]*$/.test(text)) return false;
  // eslint-disable-next-line no-control-regex -- these are what is looked for
  return (text.match(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u00bf]/g) ?? []).length >= 2;
}

/**
 * Whether a text that was given as a path could be a key instead: a bare word that looks like one, a JWK, PEM text, raw bytes. What
 * a path of that kind is for is then given with its folder, as `./name`.
 */
export function couldBeKey(path: string): boolean {
  if (path.includes('-----BEGIN') || /^\ufeff?\s*[{[]\s*["{]/.test(path)) return true;
  if (!CONTROL.test(path) && !looksSecret(path)) return false;
  return !(ANCHORED.test(path) || HASH_IN_FOLDER.test(path) || HAS_EXTENSION.test(path));
}

/** How often an upper-case letter, a lower-case letter and a digit follow one another, each another. */
function changesOfKind(run: string): number {
  const kinds = Array.from(run, (c) => (/[A-Z]/.test(c) ? 'A' : /[a-z]/.test(c) ? 'a' : /[0-9]/.test(c) ? '0' : ''));
  return kinds.filter((kind, i) => i > 0 && kind !== '' && kinds[i - 1] !== '' && kind !== kinds[i - 1]).length;
}

/** How a message names a file that may have been given as bytes. */
export function quoteFile(path: string | undefined): string {
  return path === undefined ? 'the file' : quotePath(path);
}

/** A `TypeError` for an argument of the wrong type: names the argument, what was expected and what came. */
export function argumentError(name: string | Wording, expected: string, value: unknown): TypeError {
  const subject = typeof name === 'string' ? named(name) : name;
  return typeError(say`${subject} must be ${expected}, not ${describeType(value)}`);
}

/** A `TypeError` that says in its field `option`, as a `CryptoTensorsError` does, which option is to blame. */
export function typeError(wording: Wording): TypeError & { readonly option?: string } {
  const error = new TypeError(String(wording));
  remember(error, wording);
  return wording.option === undefined ? error : Object.assign(error, { option: wording.option });
}

function describeType(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') {
    const name = classOf(value);
    if (name === 'Promise') return 'a Promise: was await forgotten?';
    return name === null || name === 'Object' ? 'an object' : `an instance of ${name}`;
  }
  if (typeof value === 'number' || typeof value === 'boolean') return `${typeof value} ${value}`;
  // A string is not shown: it may be a secret that was passed in the wrong place. Nor is a bigint.
  return `a ${typeof value}`;
}

/** The name of an object's class, by its prototype: of its own properties none is believed. */
function classOf(value: object): string | null {
  const prototype = Object.getPrototypeOf(value) as object | null;
  const constructor: unknown =
    prototype === null ? undefined : Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  if (typeof constructor !== 'function') return null;
  return constructor.name === '' || looksSecret(constructor.name) ? null : constructor.name.slice(0, 80);
}
