import { CryptoTensorsError, quote } from '../errors.js';
import { LENGTH_BYTES } from '../format/canonical.js';
import { isEncrypted } from '../format/crypto-metadata.js';
import { headerSteps } from '../format/header.js';
import type { Header } from '../format/header.js';
import type { Engine, Source } from '../engine/types.js';
import type { Twin } from '../twin.js';
import { naming, publicError } from '../model/faults.js';
import { openSource, readHeaderText, readLength } from '../model/source.js';
import { Reserved } from '../format/vocabulary.js';

/** A header, and where the data that it describes begins in the source. */
export interface PlacedHeader {
  header: Header;
  dataStart: number;
  /** The header that the file itself has, where a licence stands in for it. Nothing in it is verified. */
  body: Header | null;
}

/** A header in place of the file's own. */
export interface DetachedInput {
  input: string | Uint8Array;
  /** What the caller calls it. */
  kind: 'header' | 'license';
}

/** The text of a file's own header as it was read: for who wants to know later whether it has changed. */
export interface SeenHeader {
  text: Uint8Array | null;
}

/** The header of a file, or a detached one over its data. Throws the same as `readHeader` and `readDetachedHeader`. */
export function* readPlacedHeader(
  engine: Engine,
  source: Source,
  detached: DetachedInput | undefined,
  seen: SeenHeader,
): Twin<PlacedHeader> {
  if (detached?.kind === 'header') return yield* readDetachedHeader(engine, source, detached.input);
  if (detached?.kind === 'license') return yield* readLicensedHeader(engine, source, detached.input, seen);
  const header = yield* readOwnHeader(engine, source, seen);
  return { header, dataStart: header.dataStart, body: null };
}

function* readOwnHeader(engine: Engine, source: Source, seen: SeenHeader): Twin<Header> {
  seen.text = yield* readHeaderText(engine, source);
  return yield* headerSteps(seen.text, source.size);
}

/**
 * The header of a licence, over the data of `source`. It is not yet held against that: whoever does that compares it with `body`.
 *
 * @throws InvalidLicense for whatever is wrong with the licence's structure; the same as `readHeader` for the body's; FileError
 */
function* readLicensedHeader(
  engine: Engine,
  source: Source,
  input: string | Uint8Array,
  seen: SeenHeader,
): Twin<PlacedHeader> {
  const header = yield* readLicenseHeader(engine, input);
  const body = yield* readOwnHeader(engine, source, seen);
  return { header, dataStart: body.dataStart, body };
}

/**
 * The header of a licence by itself: a detached one with `__license__`. Its signature is not verified.
 *
 * @throws InvalidLicense, FileError
 */
export function* readLicenseHeader(engine: Engine, input: string | Uint8Array): Twin<Header> {
  const path = typeof input === 'string' ? input : undefined;
  try {
    const header = yield* headerSteps(yield* readDetachedText(engine, input), null);
    if (isEncrypted(header.metadata) && header.metadata!.has(Reserved.license)) return header;
  } catch (error) {
    if (!(error instanceof CryptoTensorsError) || OF_THE_WORLD.has(error.code)) throw error;
    throw noLicense(path, error);
  }
  throw noLicense(path);
}

/** What says nothing about the licence itself. */
const OF_THE_WORLD: ReadonlySet<string> = new Set(['FileError', 'FileChanged', 'NativeUnavailable', 'Closed']);

function noLicense(path: string | undefined, cause?: CryptoTensorsError): CryptoTensorsError {
  const what = path === undefined ? 'what was given as a licence' : quote(path);
  const reason = whyNoLicense(cause);
  return new CryptoTensorsError('InvalidLicense', `${what} is not a licence, or not a whole one: ${reason}`, {
    ...(path === undefined ? {} : { path }),
    ...(cause === undefined ? {} : { cause }),
  });
}

function whyNoLicense(cause: CryptoTensorsError | undefined): string {
  if (cause === undefined) return 'it holds a header, but no licence in it';
  if (cause.code !== NOT_DETACHED) return `it holds no header: ${cause.message}`;
  return `it holds a header with more behind it (${cause.expected} of ${cause.found}), as a model file does. A licence is a header alone: give the file that issueLicense made for the model`;
}

/**
 * A detached header, over the data of `body`, whose own header is skipped unread: its length alone says where the data begins.
 * Validated wholly against the length of that data; its signature is not verified.
 *
 * @throws the same as `readHeader`, of the detached header or of the body's length; InvalidHeaderLength if there is more in
 * the header's file than a header; MetadataIncompleteBuffer if the body's data is not as long as the header says
 */
export function* readDetachedHeader(engine: Engine, body: Source, input: string | Uint8Array): Twin<PlacedHeader> {
  const bytes = yield* readDetachedText(engine, input);
  const dataStart = LENGTH_BYTES + (yield* readLength(engine, body));
  const dataBytes = body.size - dataStart;
  return { header: yield* parseOver(bytes, dataBytes, input, body.path), dataStart, body: null };
}

function* readDetachedText(engine: Engine, input: string | Uint8Array): Twin<Uint8Array> {
  const path = typeof input === 'string' ? input : undefined;
  try {
    const source = yield* openSource(input, engine);
    try {
      const bytes = yield* readHeaderText(engine, source);
      const end = LENGTH_BYTES + bytes.length;
      if (source.size !== end) throw notDetached(path, end, source.size);
      return bytes;
    } finally {
      source.close();
    }
  } catch (error) {
    throw publicError(error, { path, names: [] });
  }
}

/** What has more in it than a header. No header says so of itself: its length is read before it is. */
const NOT_DETACHED = 'InvalidHeaderLength';

function notDetached(path: string | undefined, end: number, size: number): CryptoTensorsError {
  return new CryptoTensorsError(
    NOT_DETACHED,
    `${path === undefined ? 'the header that was given' : quote(path)} holds a header of ${end} bytes with its length, but is ${size} bytes: a detached header is a header and nothing else. To open a whole file, give it as the input`,
    { expected: `${end} bytes`, found: `${size} bytes`, ...(path === undefined ? {} : { path }) },
  );
}

function* parseOver(
  bytes: Uint8Array,
  dataBytes: number,
  input: string | Uint8Array,
  body: string | undefined,
): Twin<Header> {
  try {
    return yield* headerSteps(bytes, LENGTH_BYTES + bytes.length + dataBytes);
  } catch (error) {
    if (!(error instanceof CryptoTensorsError) || error.code !== 'MetadataIncompleteBuffer') {
      throw naming(error, typeof input === 'string' ? input : undefined);
    }
    const { expected, found } = error as { expected: string; found: string };
    const header = typeof input === 'string' ? quote(input) : 'options.header';
    throw new CryptoTensorsError(
      'MetadataIncompleteBuffer',
      `the body does not fit the detached header: ${header} describes ${expected}, but ${body === undefined ? 'the body' : quote(body)} has ${found} after its own header. Give the body that this header was made for, or fetch it again if it was cut off`,
      { expected, found, ...(body === undefined ? {} : { path: body }) },
    );
  }
}

export interface UnplacedHeader {
  header: Header;
  /** Null where there is no data. */
  dataStart: number | null;
}

/** The header of a file that may hold nothing but a header. */
export function* readUnplacedHeader(engine: Engine, source: Source): Twin<UnplacedHeader> {
  const text = yield* readHeaderText(engine, source);
  if (LENGTH_BYTES + text.length < source.size) {
    const header = yield* headerSteps(text, source.size);
    return { header, dataStart: header.dataStart };
  }
  const header = yield* headerSteps(text, null);
  return { header, dataStart: header.dataBytes === 0 ? header.dataStart : null };
}
