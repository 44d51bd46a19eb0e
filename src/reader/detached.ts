import { CryptoTensorsError, quote } from '../errors.js';
import { LENGTH_BYTES } from '../format/canonical.js';
import { parseHeader } from '../format/header.js';
import type { Header } from '../format/header.js';
import type { Engine, Source } from '../engine/types.js';
import type { Twin } from '../twin.js';
import { publicError } from './faults.js';
import { openSource, readHeader, readHeaderText, readLength } from './source.js';

/** A header, and where the data that it describes begins in the source. */
export interface PlacedHeader {
  header: Header;
  dataStart: number;
}

/** The header of a file, or a detached one over its data. Throws the same as `readHeader` and `readDetachedHeader`. */
export function* readPlacedHeader(
  engine: Engine,
  source: Source,
  detached: string | Uint8Array | undefined,
): Twin<PlacedHeader> {
  if (detached !== undefined) return yield* readDetachedHeader(engine, source, detached);
  const header = yield* readHeader(engine, source);
  return { header, dataStart: header.dataStart };
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
  return { header: parseOver(bytes, dataBytes, input, body.path), dataStart };
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

function notDetached(path: string | undefined, end: number, size: number): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidHeaderLength',
    `options.header${path === undefined ? '' : `: ${quote(path)}`} holds a header of ${end} bytes with its length, but is ${size} bytes: a detached header is a header and nothing else. To open a whole file, give it as the input`,
    { expected: `${end} bytes`, found: `${size} bytes`, ...(path === undefined ? {} : { path }) },
  );
}

function parseOver(bytes: Uint8Array, dataBytes: number, input: string | Uint8Array, body: string | undefined): Header {
  try {
    return parseHeader(bytes, LENGTH_BYTES + bytes.length + dataBytes);
  } catch (error) {
    if (!(error instanceof CryptoTensorsError) || error.code !== 'MetadataIncompleteBuffer') throw error;
    const { expected, found } = error as { expected: string; found: string };
    const header = typeof input === 'string' ? quote(input) : 'options.header';
    throw new CryptoTensorsError(
      'MetadataIncompleteBuffer',
      `the body does not fit the detached header: ${header} describes ${expected}, but ${body === undefined ? 'the body' : quote(body)} has ${found} after its own header. Give the body that this header was made for, or fetch it again if it was cut off`,
      { expected, found, ...(body === undefined ? {} : { path: body }) },
    );
  }
}
