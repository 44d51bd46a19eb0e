/**
 * The encrypted key in a licence: a compact JWE (RFC 7516 §3.1) by ECDH-ES in direct key agreement (RFC 7518 §4.6) with A256GCM.
 *
 * One algorithm, one encryption, one form of header: what a token asks for beyond that is refused, not negotiated. So there is
 * nothing in it that could choose a weaker algorithm, name a key by URL (`jku`, `x5u`), bring one along (`jwk`, `x5c`), ask for
 * decompression (`zip`) or for an extension (`crit`).
 */
import { quote, type CryptoTensorsError } from '../errors.js';
import { decodeBase64 } from './base64.js';
import { describeJson, parseJsonDocument, type JsonObject, type JsonValue } from './json.js';
import { invalidLicense } from './license-error.js';
import { IV_BYTES, TAG_BYTES, type AgreementCurve } from './vocabulary.js';

export const JWE_ALGORITHM = 'ECDH-ES';
export const JWE_ENCRYPTION = 'A256GCM';
/** RFC 7517 §7: the content is a JWK. */
export const JWE_CONTENT_TYPE = 'jwk+json';
const COORDINATE_BYTES = 32;
/** A JWK of 32 bytes with a name takes a fraction of it. */
const MAX_TEXT_CHARACTERS = 16_384;

/** A JWE, taken apart. Nothing in it is verified. */
export interface Jwe {
  /** RFC 7638 thumbprint of the key that it is encrypted for. */
  recipient: string;
  /** The sender's ephemeral public key, `x` and for P-256 `y`. */
  curve: AgreementCurve;
  ephemeral: Uint8Array;
  /** ASCII bytes of the protected header: the additional data. */
  protectedHeader: Uint8Array;
  iv: Uint8Array;
  ciphertext: Uint8Array;
  tag: Uint8Array;
}

/** @throws {CryptoTensorsError} `InvalidLicense` */
export function parseJwe(text: string): Jwe {
  const parts = text.length > MAX_TEXT_CHARACTERS ? [] : text.split('.');
  if (parts.length !== 5) throw invalid('it must be a compact JWE, of five parts');
  const [header, key, iv, ciphertext, tag] = parts as [string, string, string, string, string];
  if (key !== '') throw invalid('direct key agreement has no encrypted key');
  return {
    ...parseHeader(header),
    protectedHeader: new TextEncoder().encode(header),
    iv: decode(iv, 'the initialization vector', IV_BYTES),
    ciphertext: decode(ciphertext, 'the ciphertext'),
    tag: decode(tag, 'the tag', TAG_BYTES),
  };
}

function parseHeader(text: string): Pick<Jwe, 'recipient' | 'curve' | 'ephemeral'> {
  let document: JsonValue;
  try {
    document = parseJsonDocument(decode(text, 'the header'), { code: 'InvalidLicense', name: 'the header' });
  } catch (error) {
    throw invalid('its header is not strict JSON', error);
  }
  const header = exactly(document, ['alg', 'enc', 'cty', 'kid', 'epk'], 'the header');
  requireText(header, 'alg', JWE_ALGORITHM);
  requireText(header, 'enc', JWE_ENCRYPTION);
  requireText(header, 'cty', JWE_CONTENT_TYPE);
  const recipient = header.get('kid');
  if (typeof recipient !== 'string') throw invalid('"kid" must be the thumbprint of the recipient\'s key');
  return { recipient, ...parseEphemeral(header.get('epk')) };
}

function parseEphemeral(value: JsonValue | undefined): Pick<Jwe, 'curve' | 'ephemeral'> {
  const isEc = value instanceof Map && value.get('kty') === 'EC';
  const epk = exactly(value, isEc ? ['kty', 'crv', 'x', 'y'] : ['kty', 'crv', 'x'], '"epk"');
  const coordinate = (name: 'x' | 'y'): Uint8Array => {
    const text = epk.get(name);
    if (typeof text !== 'string') throw invalid(`"${name}" of "epk" must be a string`);
    return decode(text, `"${name}" of "epk"`, COORDINATE_BYTES);
  };
  if (!isEc) {
    requireText(epk, 'kty', 'OKP');
    requireText(epk, 'crv', 'X25519');
    return { curve: 'X25519', ephemeral: coordinate('x') };
  }
  requireText(epk, 'crv', 'P-256');
  const ephemeral = new Uint8Array(2 * COORDINATE_BYTES);
  ephemeral.set(coordinate('x'));
  ephemeral.set(coordinate('y'), COORDINATE_BYTES);
  return { curve: 'P-256', ephemeral };
}

/** An object of exactly these members. */
function exactly(value: JsonValue | undefined, names: readonly string[], where: string): JsonObject {
  if (!(value instanceof Map)) throw invalid(`${where} must be an object, but is ${describeJson(value)}`);
  const unknown = [...value.keys()].find((name) => !names.includes(name));
  if (unknown !== undefined) throw invalid(`${where} holds ${quote(unknown)}, which is not to be there`);
  const missing = names.find((name) => !value.has(name));
  if (missing !== undefined) throw invalid(`${where} lacks "${missing}"`);
  return value;
}

function requireText(object: JsonObject, name: string, expected: string): void {
  const found = object.get(name);
  if (found === expected) return;
  throw invalid(
    `"${name}" must be ${expected}, but is ${typeof found === 'string' ? quote(found) : describeJson(found)}`,
  );
}

/** RFC 7515 §2: base64url without padding; strictly, so that each sequence of bytes has exactly one text. */
function decode(text: string, what: string, length?: number): Uint8Array {
  const isAlphabet = /^[A-Za-z0-9_-]*$/.test(text);
  const padded = text.replaceAll('-', '+').replaceAll('_', '/') + '='.repeat((4 - (text.length % 4)) % 4);
  const bytes = isAlphabet ? decodeBase64(padded) : null;
  if (bytes === null) throw invalid(`${what} must be base64url without padding`);
  if (length !== undefined && bytes.length !== length) {
    throw invalid(`${what} must be ${length} bytes, but is ${bytes.length}`);
  }
  return bytes;
}

function invalid(problem: string, cause?: unknown): CryptoTensorsError {
  return invalidLicense(`its "key" is refused: ${problem}`, cause);
}
