/** The reserved keys of an encrypted file, but for the records of its tensors (FORMAT.md §2). */
import { CryptoTensorsError, quote } from '../errors.js';
import { decodeBase64 } from './base64.js';
import { describeJson, parseJsonObject, type JsonObject } from './json.js';
import { AEAD_ALGORITHMS, ENCRYPTED_FILE_KEYS, Reserved, SIGNATURE_BYTES, type AeadAlgorithm } from './vocabulary.js';
import { withoutPrototype } from '../options.js';

/** Bytes per chunk where `__crypto_keys__` does not say. */
export const DEFAULT_CHUNK_SIZE = 2_097_152;

/** Which key was used, as the header says it. */
export interface KeyReference {
  kid: string | null;
  jku: string | null;
}

/** `__crypto_keys__`. */
export interface CryptoKeys {
  version: 1 | 2;
  /** Bytes per chunk, capped at 2^53 - 1; 0 in version 1, where a tensor is one chunk. */
  chunkSize: number;
  exactChunkSize: bigint;
  /** The master key; `algText` is the algorithm as it stands in the header. */
  enc: KeyReference & { algorithm: AeadAlgorithm; algText: string };
  /** The signing key. */
  sign: KeyReference & { algText: string };
}

/** The same as plain data that `JSON.stringify` takes. */
export type CryptoKeysInfo = Omit<CryptoKeys, 'exactChunkSize'>;

export function cryptoKeysInfo({ version, chunkSize, enc, sign }: CryptoKeys): CryptoKeysInfo {
  return { version, chunkSize, enc, sign };
}

/** What a writer says in `__crypto_keys__`. */
export interface CryptoKeysToWrite {
  version: 1 | 2;
  /** Left out of a version 1 header. */
  chunkSize: number | bigint;
  enc: KeyReference & { algorithm: AeadAlgorithm; algText?: string };
  sign: KeyReference;
}

/** `__policy__`: two Rego modules. */
export interface PolicyTexts {
  /** Asked when the file is opened. */
  local: string;
  /** For whoever releases keys. */
  remote: string;
}

/**
 * Whether a file is encrypted: none of the four reserved keys is there, or all are. `__integrity__` does not count.
 *
 * @throws {CryptoTensorsError} `InvalidCryptoMetadata` if only some are: the file was tampered with, or is damaged
 */
export function isEncrypted(metadata: ReadonlyMap<string, string> | null): boolean {
  const missing = ENCRYPTED_FILE_KEYS.filter((key) => metadata?.has(key) !== true);
  if (missing.length === ENCRYPTED_FILE_KEYS.length) return false;
  if (missing.length === 0) return true;
  const present = ENCRYPTED_FILE_KEYS.filter((key) => !missing.includes(key));
  throw new CryptoTensorsError(
    'InvalidCryptoMetadata',
    `the header holds ${present.join(', ')} but lacks ${missing.join(', ')}: part of its protection was removed; fetch the file again`,
    { expected: ENCRYPTED_FILE_KEYS.join(', '), found: present.join(', ') },
  );
}

/**
 * Parses `__crypto_keys__`.
 *
 * @throws {CryptoTensorsError} `InvalidCryptoMetadata`, `UnsupportedVersion`, `UnsupportedAlgorithm`
 */
export function parseCryptoKeys(text: string): CryptoKeys {
  const document = parseDocument(text, Reserved.cryptoKeys);
  const version = parseVersion(document);
  const exactChunkSize = parseChunkSize(document, version);
  const enc = parseKey(document, 'enc', (kty) => kty === 'oct');
  const sign = parseKey(document, 'sign', (kty) => kty.toLowerCase() === 'okp');
  return {
    version,
    chunkSize: Math.min(Number(exactChunkSize), Number.MAX_SAFE_INTEGER),
    exactChunkSize,
    enc: { ...enc, algorithm: parseAlgorithm(enc.algText) },
    sign: parseSignatureAlgorithm(sign),
  };
}

/** The text of `__crypto_keys__`, keys in alphabetical order as the reference writes them. */
export function encodeCryptoKeys({ version, chunkSize, enc, sign }: CryptoKeysToWrite): string {
  const { algText } = withoutPrototype(enc);
  const chunk = version === 1 ? '' : `"chunk_size":${chunkSize},`;
  const encText = encodeKey(algText ?? enc.algorithm, 'oct', enc);
  const signText = encodeKey('ed25519', 'okp', sign);
  return `{${chunk}"enc":${encText},"sign":${signText},"version":"${version}"}`;
}

/**
 * Decodes `__signature__`.
 *
 * @throws {CryptoTensorsError} `BadSignature` if it is not strict base64 of 64 bytes
 */
export function parseSignature(text: string): Uint8Array {
  const signature = decodeBase64(text);
  if (signature?.length === SIGNATURE_BYTES) return signature;
  const found = signature === null ? 'something else' : `${signature.length} bytes`;
  throw new CryptoTensorsError(
    'BadSignature',
    `__signature__ must be ${SIGNATURE_BYTES} bytes in standard base64 with padding, but is ${found}`,
    { expected: `${SIGNATURE_BYTES} bytes in base64`, found },
  );
}

/**
 * Parses `__policy__`.
 *
 * @throws {CryptoTensorsError} `InvalidCryptoMetadata`
 */
export function parsePolicy(text: string): PolicyTexts {
  const document = parseDocument(text, Reserved.policy);
  return {
    local: parseString(document, 'local', Reserved.policy),
    remote: parseString(document, 'remote', Reserved.policy),
  };
}

/** The text of `__policy__`, as the reference writes it. */
export function encodePolicy({ local, remote }: PolicyTexts): string {
  return JSON.stringify({ local, remote });
}

/** An error about a reserved key. */
export function invalidMetadata(where: string, expected: string, found: string): CryptoTensorsError {
  return new CryptoTensorsError('InvalidCryptoMetadata', `${where} must be ${expected}, but is ${found}`, {
    expected,
    found,
  });
}

function parseDocument(text: string, name: string): JsonObject {
  return parseJsonObject(text, { code: 'InvalidCryptoMetadata', name });
}

function parseString(object: JsonObject, key: string, where: string): string {
  const value = object.get(key);
  if (typeof value === 'string') return value;
  throw invalidMetadata(`"${key}" of ${where}`, 'a string', describeJson(value));
}

function parseVersion(document: JsonObject): 1 | 2 {
  const version = parseString(document, 'version', Reserved.cryptoKeys);
  if (version === '1') return 1;
  if (version === '2') return 2;
  throw new CryptoTensorsError(
    'UnsupportedVersion',
    `the file is of version ${quote(version)} of the format; this library reads "1" and "2"`,
    { expected: '"1" or "2"', found: quote(version) },
  );
}

function parseChunkSize(document: JsonObject, version: 1 | 2): bigint {
  const value = document.get('chunk_size');
  const where = '"chunk_size" of __crypto_keys__';
  if (version === 1) {
    if (value === undefined) return 0n;
    throw invalidMetadata(where, 'absent in version 1', describeJson(value));
  }
  if (value === undefined) return BigInt(DEFAULT_CHUNK_SIZE);
  if ((typeof value === 'number' || typeof value === 'bigint') && value > 0) return BigInt(value);
  throw invalidMetadata(where, 'a positive integer', value === 0 ? '0' : describeJson(value));
}

function parseKey(
  document: JsonObject,
  role: string,
  isKty: (kty: string) => boolean,
): KeyReference & { algText: string } {
  const where = `"${role}" of __crypto_keys__`;
  const key = document.get(role);
  if (!(key instanceof Map)) throw invalidMetadata(where, 'an object', describeJson(key));
  const kty = parseString(key, 'kty', where);
  if (!isKty(kty)) throw invalidMetadata(`"kty" of ${where}`, role === 'enc' ? '"oct"' : '"okp"', quote(kty));
  return {
    algText: parseString(key, 'alg', where),
    kid: parseOptional(key, 'kid', where),
    jku: parseOptional(key, 'jku', where),
  };
}

function parseOptional(object: JsonObject, key: string, where: string): string | null {
  return (object.get(key) ?? null) === null ? null : parseString(object, key, where);
}

/** FORMAT.md §2: compared after dropping `-` and lower-casing. */
function parseAlgorithm(text: string): AeadAlgorithm {
  const normal = text.replaceAll('-', '').toLowerCase();
  const algorithm = AEAD_ALGORITHMS.find((known) => known === normal);
  if (algorithm !== undefined) return algorithm;
  throw unsupportedAlgorithm('encrypted', text, AEAD_ALGORITHMS.join(', '));
}

function parseSignatureAlgorithm<Key extends { algText: string }>(key: Key): Key {
  if (key.algText.toLowerCase() === 'ed25519') return key;
  throw unsupportedAlgorithm('signed', key.algText, 'ed25519');
}

function unsupportedAlgorithm(done: string, text: string, expected: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'UnsupportedAlgorithm',
    `the file is ${done} with ${quote(text)}; this library knows ${expected}`,
    {
      expected,
      found: quote(text),
    },
  );
}

function encodeKey(alg: string, kty: string, { kid, jku }: KeyReference): string {
  return JSON.stringify({ alg, ...(jku === null ? {} : { jku }), ...(kid === null ? {} : { kid }), kty });
}
