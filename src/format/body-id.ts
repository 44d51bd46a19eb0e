/** What a header says of the body, and any other header for the same body says as well (docs/licenses.md). */
import { encodeCanonical } from './canonical.js';
import { parseCryptoKeys, isEncrypted } from './crypto-metadata.js';
import type { Header } from './header.js';
import { scanIntegrity } from './integrity.js';
import { scanRecords } from './records.js';
import { DIGEST_STRIDE, RECORD_STRIDE, Reserved } from './vocabulary.js';

const encoder = new TextEncoder();
const FIRST_LINE = 'cryptotensors body 1';
/** In a row: where the text of `iv` or `base_iv` stands, then that of `tag` or `tags`. */
const IV_AT = 7;
const TAGS_AT = 9;

/**
 * The text whose SHA-256 is the id of a body: everything in its header that does not change when it gets other keys, another signer or
 * another policy. Null for a plain file.
 *
 * @throws {CryptoTensorsError} what parsing the parts throws
 */
export function bodyText(header: Header): Uint8Array | null {
  const { metadata } = header;
  if (metadata === null || !isEncrypted(metadata)) return null;
  const { version, exactChunkSize, enc } = parseCryptoKeys(metadata.get(Reserved.cryptoKeys)!);
  const { document, records } = scanRecords(metadata.getJson(Reserved.encryption)!, header, version);
  const lines = new Lines();
  lines.text(FIRST_LINE);
  lines.text(`${enc.algorithm} ${version} ${exactChunkSize}`);
  lines.bytes(encodeCanonical({ metadata: null, tensors: header.tensors() }));
  const encrypted = new Uint8Array(header.count);
  for (const row of rows(records, RECORD_STRIDE)) {
    const tensor = records[row]!;
    encrypted[tensor] = 1;
    lines.text(
      String(tensor),
      document.subarray(records[row + IV_AT], records[row + IV_AT + 1]),
      document.subarray(records[row + TAGS_AT], records[row + TAGS_AT + 1]),
    );
  }
  const text = metadata.getJson(Reserved.integrity);
  if (text !== undefined) {
    const { algorithm, chunkSize, ...digests } = scanIntegrity(text, header, (i) => encrypted[i] === 1);
    lines.text(`${algorithm} ${chunkSize}`);
    for (const row of rows(digests.records, DIGEST_STRIDE)) {
      const [tensor, start, end] = digests.records.subarray(row, row + DIGEST_STRIDE);
      lines.text(String(tensor), digests.document.subarray(start, end));
    }
  }
  return lines.joined();
}

/** Where the rows begin, by tensor: in the text they can come in any order. */
function rows(records: Int32Array, stride: number): number[] {
  return Array.from({ length: records.length / stride }, (_, i) => i * stride).sort(
    (a, b) => records[a]! - records[b]!,
  );
}

/** Lines of words; no word holds a space or a line break but JSON, which has a line of its own. */
class Lines {
  readonly #parts: Uint8Array[] = [];

  text(first: string, ...words: Uint8Array[]): void {
    this.#parts.push(encoder.encode(first));
    for (const word of words) this.#parts.push(SPACE, word);
    this.#parts.push(LINE_FEED);
  }

  bytes(line: Uint8Array): void {
    this.#parts.push(line, LINE_FEED);
  }

  joined(): Uint8Array {
    const joined = new Uint8Array(this.#parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of this.#parts) {
      joined.set(part, at);
      at += part.length;
    }
    return joined;
  }
}

const SPACE = Uint8Array.of(0x20);
const LINE_FEED = Uint8Array.of(0x0a);
