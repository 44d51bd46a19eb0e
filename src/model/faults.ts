import { AbortError, CryptoTensorsError, detailsOf, quote, quotePath } from '../errors.js';
import type { ErrorCode, ErrorDetails } from '../errors.js';
import type { JobFault, RecordFault } from '../engine/types.js';
import { say, wordingOf } from '../wording.js';

/** What is needed to turn an engine's numbers into names. */
export interface FaultContext {
  path: string | undefined;
  /** Tensor names in data order. */
  names: readonly string[];
  signal?: AbortSignal | undefined;
}

function isJobFault(error: unknown): error is JobFault {
  return (
    typeof error === 'object' &&
    error !== null &&
    !(error instanceof CryptoTensorsError) &&
    typeof (error as JobFault).code === 'string' &&
    typeof (error as JobFault).tensor === 'number'
  );
}

/** Says where: `tensor "w", chunk 3 of "model.safetensors"`. */
function whereOf(fault: JobFault, context: FaultContext): { text: string; details: ErrorDetails } {
  const details: ErrorDetails = {};
  const parts: string[] = [];
  const name = fault.tensor >= 0 ? context.names[fault.tensor] : undefined;
  if (name !== undefined) {
    details.tensor = name;
    parts.push(`tensor ${quote(name)}`);
    if (fault.chunk >= 0) {
      details.chunk = fault.chunk;
      parts.push(`chunk ${fault.chunk}`);
    }
  }
  if (context.path !== undefined) details.path = context.path;
  const file = context.path === undefined ? 'the given bytes' : quotePath(context.path);
  return { text: parts.length > 0 ? `${parts.join(', ')} of ${file}` : file, details };
}

/** What is wrong with a file as it stands, whoever looks at it. */
const OF_THE_FILE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'HeaderTooSmall', 'HeaderTooLarge', 'InvalidHeaderLength', 'InvalidHeader', 'InvalidHeaderDeserialization', 'InvalidOffset',
  'TensorInvalidInfo', 'ValidationOverflow', 'MisalignedSlice', 'MetadataIncompleteBuffer', 'InvalidCryptoMetadata',
  'UnsupportedVersion', 'UnsupportedAlgorithm', 'InvalidLicense',
]); // prettier-ignore

/** What concerns the caller's options, or the library, and not the file that was being opened. */
const NOT_OF_THE_FILE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'InvalidOption', 'InvalidKey', 'NativeUnavailable', 'Closed',
]); // prettier-ignore

/**
 * Names the file that an error is about: what parses a header has no path. One that names a file already, as of a detached header
 * or of a key file, stays as it is.
 *
 * @param path undefined for bytes in memory
 */
export function naming(error: unknown, path: string | undefined): unknown {
  if (path === undefined || !(error instanceof CryptoTensorsError)) return error;
  if ((error.path ?? path) !== path || NOT_OF_THE_FILE.has(error.code)) return error;
  const name = quotePath(path);
  const isInMessage = error.message.includes(name);
  if (isInMessage && error.path !== undefined) return error;
  const message = isInMessage ? wordingOf(error) : say`${name}: ${wordingOf(error)}`;
  const named = new CryptoTensorsError(error.code, message, { ...detailsOf(error), path, cause: error.cause });
  if (error.stack !== undefined) named.stack = error.stack.replace(error.message, String(message));
  return named;
}

/**
 * Turns what an engine throws into the public error of the same code, with names instead of indexes, and names the file in what
 * parsing it threw. Anything else passes through unchanged.
 */
export function publicError(error: unknown, context: FaultContext): unknown {
  if (error instanceof CryptoTensorsError) return OF_THE_FILE.has(error.code) ? naming(error, context.path) : error;
  if (!isJobFault(error)) return error;
  const { text, details } = whereOf(error, context);
  switch (error.code) {
    case 'AbortError':
      return new AbortError(context.signal?.reason);
    case 'BadTag':
      return new CryptoTensorsError(
        'BadTag',
        `${text}: the authentication tag does not match; the stored bytes are not what was encrypted. Nothing was returned. Fetch the file again from its source`,
        details,
      );
    case 'BadDigest':
      return new CryptoTensorsError(
        'BadDigest',
        `${text}: the digest in the signed header does not match the stored bytes. Nothing was returned. Fetch the file again from its source`,
        details,
      );
    case 'FileChanged':
      return new CryptoTensorsError(
        'FileChanged',
        `${text}: the file changed while it was in use (${error.message}). Nothing was returned. Replace files by renaming a new one over them, then open again`,
        details,
      );
    case 'FileError':
      if (error.systemCode !== undefined) details.systemCode = error.systemCode;
      return new CryptoTensorsError('FileError', `${text}: ${error.message}`, { ...details, cause: error });
    case 'Closed':
      return new CryptoTensorsError('Closed', `${text} is closed; open it again to read from it`, details);
    case 'OutOfMemory':
      return new CryptoTensorsError(
        'OutOfMemory',
        `${text}: ${error.message}. Read fewer tensors at once, or one in slices`,
        { ...details, cause: error },
      );
    case 'Detached':
      return new CryptoTensorsError(
        'Detached',
        `${text}: ${error.message}. Leave memory alone until the work on it is done`,
        details,
      );
    case 'InvalidOption':
      return new CryptoTensorsError('InvalidOption', `${text}: ${error.message}`, details);
  }
}

/** A record that the strict decoding refused (FORMAT.md §2: exact lengths, strict base64). */
export function recordError(
  fault: RecordFault,
  tensor: string,
  version: 1 | 2,
  path: string | undefined,
): CryptoTensorsError {
  const field = fieldName(fault, version);
  const where =
    fault.field === 'digests' ? `__integrity__, tensor ${quote(tensor)}` : `tensor ${quote(tensor)}: ${field}`;
  const details: ErrorDetails = { tensor, ...(path === undefined ? {} : { path }) };
  switch (fault.problem) {
    case 'base64':
      return new CryptoTensorsError(
        'InvalidCryptoMetadata',
        `${where} is not strict base64 (padding, alphabet and zero trailing bits are required)`,
        { ...details, expected: 'standard base64 with padding' },
      );
    case 'length':
      return new CryptoTensorsError(
        fault.field === 'digests' ? 'BadDigest' : 'InvalidCryptoMetadata',
        `${where} must be ${fault.expected} bytes, but is ${fault.found}`,
        { ...details, expected: `${fault.expected} bytes`, found: `${fault.found} bytes` },
      );
    case 'counter-overflow':
      return new CryptoTensorsError(
        'InvalidCryptoMetadata',
        `${where}: its 32-bit counter overflows before the tensor's last chunk, so an IV would repeat`,
        { ...details, expected: 'a counter with room for every chunk' },
      );
  }
}

function fieldName(fault: RecordFault, version: 1 | 2): string {
  if (version === 2 && fault.field === 'iv') return 'base_iv';
  if (version === 2 && fault.field === 'tag') return 'tags';
  return fault.field;
}
