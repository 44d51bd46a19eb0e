/** The test data in `test/vectors`: see its README.md. Parsed exactly, since it holds integers above 2^53. */
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  parseCryptoKeys,
  parsePolicy,
  parseSignature,
  isEncrypted,
  type CryptoKeys,
} from '#dist/format/crypto-metadata.js';
import { parseHeader, readHeaderLength, type Header } from '#dist/format/header.js';
import { scanIntegrity, type IntegrityScan } from '#dist/format/integrity.js';
import { parseJsonDocument, type JsonObject, type JsonValue } from '#dist/format/json.js';
import { scanRecords, type RecordScan } from '#dist/format/records.js';

const directory = new URL('../vectors/', import.meta.url);

export function readVector(file: string): Uint8Array {
  return readFileSync(new URL(file, directory));
}

/** The entries of `vectors.json` or `bad.json`. */
export function entriesOf(file: string, list: string): JsonObject[] {
  const document = parseJsonDocument(readVector(file)) as JsonObject;
  return document.get(list) as JsonObject[];
}

export function text(object: JsonObject, key: string): string {
  const value = object.get(key);
  if (typeof value !== 'string') throw new TypeError(`${key} is no string`);
  return value;
}

/** Plain objects, for comparison. */
export function plain(value: JsonValue | undefined): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, plain(item)]));
  return value;
}

export function openHeader(file: string): Header {
  const bytes = readVector(file);
  const length = readHeaderLength(bytes.subarray(0, 8), bytes.length);
  return parseHeader(bytes.subarray(8, 8 + length), bytes.length);
}

/** What the format layer makes of an encrypted file. */
export interface OpenedVector {
  header: Header;
  keys: CryptoKeys;
  policy: { local: string; remote: string };
  signatureVerifies: boolean;
  records: RecordScan;
  integrity: IntegrityScan | null;
}

/** Reads everything that the format layer reads, in the order of the reader. Null for a plain file. */
export function openVector(file: string, keys: JsonValue | undefined): OpenedVector | 'plain' | 'bad signature' {
  const header = openHeader(file);
  if (!isEncrypted(header.metadata)) return 'plain';
  const value = (key: string): string => header.metadata!.get(key)!;
  const cryptoKeys = parseCryptoKeys(value('__crypto_keys__'));
  const signature = parseSignature(value('__signature__'));
  if (!verifies(header.canonical(), signature, keys, cryptoKeys.sign.kid)) return 'bad signature';
  const policy = parsePolicy(value('__policy__'));
  const records = scanRecords(header.metadata!.getJson('__encryption__')!, header, cryptoKeys.version);
  const encrypted = encryptedTensors(records);
  const integrityText = header.metadata!.getJson('__integrity__');
  const integrity = integrityText === undefined ? null : scanIntegrity(integrityText, header, (i) => encrypted.has(i));
  return { header, keys: cryptoKeys, policy, signatureVerifies: true, records, integrity };
}

export function encryptedTensors({ records }: RecordScan): Set<number> {
  return new Set(Array.from({ length: records.length / 11 }, (_, row) => records[row * 11]!));
}

/** The fields of all records as text, so that scans of different documents can be compared. */
export function recordTexts({ document, records }: RecordScan): unknown[] {
  const decoder = new TextDecoder();
  return Array.from({ length: records.length / 11 }, (_, row) => {
    const [tensor, ...ranges] = records.subarray(row * 11, row * 11 + 11);
    return [tensor, ...[0, 2, 4, 6, 8].map((k) => decoder.decode(document.subarray(ranges[k], ranges[k + 1])))];
  });
}

/** Verifies with the key that an entry names, or else the one of the header's kid. */
function verifies(
  message: Uint8Array,
  signature: Uint8Array,
  keys: JsonValue | undefined,
  headerKid: string | null,
): boolean {
  if (!(keys instanceof Map)) return false;
  const set = parseJsonDocument(readVector(text(keys, 'file'))) as JsonObject;
  const named = keys.get('lookup') === 'header' ? headerKid : ((keys.get('sign') ?? null) as string | null);
  const jwk = (set.get('keys') as JsonObject[]).find(
    (key) => text(key, 'kty').toLowerCase() === 'okp' && (named === null || key.get('kid') === named),
  );
  if (jwk === undefined) return false;
  const x = Buffer.from(text(jwk, 'x'), 'base64').toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, message, key, signature);
}
