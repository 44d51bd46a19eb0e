import { isMap } from 'node:util/types';
import { CryptoTensorsError, quote } from '../errors.js';
import { JSON_TEXT, JWK, SHARD_INDEX, recogniseFile } from '../format/file-kind.js';
import { JsonRange, describeJson, parseJsonDocument } from '../format/json.js';
import type { JsonObject, JsonValue } from '../format/json.js';

/** Where a key came from, for messages. */
export interface KeyOrigin {
  /** As in "key 2 in …": a quoted path, or the name of the option. */
  readonly where: string;
  readonly path?: string | undefined;
}

/** What a key is called in messages, and where it came from. */
export interface KeyLabel {
  /** `key 2`, `PEM block 1`. */
  readonly label: string;
  readonly kid: string | null;
  readonly origin: KeyOrigin;
}

/** The members of one JWK that this library reads. Key material stays bytes: it never becomes a JavaScript string. */
export interface JwkMembers extends KeyLabel {
  readonly kty: string;
  readonly alg: string | null;
  readonly jku: string | null;
  readonly crv: string | null;
  readonly use: string | null;
  readonly state: string | null;
  readonly k: JsonRange | null;
  readonly x: JsonRange | null;
  readonly y: JsonRange | null;
  readonly d: JsonRange | null;
}

export interface JwkDocument {
  readonly jwks: readonly JwkMembers[];
  /** False for a single JWK that stands by itself. */
  readonly isSet: boolean;
}

const MATERIAL = ['k', 'x', 'y', 'd'];

/**
 * Reads the members of a JWK or of each JWK in a set, checking their types and nothing else.
 *
 * @throws InvalidKey
 */
export function readJwkDocument(bytes: Uint8Array, origin: KeyOrigin): JwkDocument {
  const document = parseObject(bytes, origin);
  if (!document.has('keys')) return { jwks: [readMembers(document, 'the key', origin)], isSet: false };

  const keys = document.get('keys');
  if (!Array.isArray(keys)) {
    throw new CryptoTensorsError('InvalidKey', `${origin.where}: "keys" of a JWK set must be an array`, pathOf(origin));
  }
  const jwks = keys.map((jwk, index) => {
    if (isMap(jwk)) return readMembers(jwk, `key ${index}`, origin);
    throw new CryptoTensorsError('InvalidKey', `key ${index} in ${origin.where} must be a JSON object`, pathOf(origin));
  });
  return { jwks, isSet: true };
}

/** An error about one key: names the key and where it is, never what is in it. */
export function invalidKey(jwk: KeyLabel, problem: string): CryptoTensorsError {
  const kid = jwk.kid === null ? '' : ` (kid ${quote(jwk.kid)})`;
  return new CryptoTensorsError('InvalidKey', `${jwk.label}${kid} in ${jwk.origin.where}: ${problem}`, {
    kid: jwk.kid,
    ...pathOf(jwk.origin),
  });
}

function parseObject(bytes: Uint8Array, origin: KeyOrigin): JsonObject {
  let document: JsonValue;
  try {
    // With `rawStrings`, messages show nothing of the text.
    document = parseJsonDocument(bytes, { code: 'InvalidKey', name: origin.where, rawStrings: MATERIAL });
  } catch (error) {
    if (!(error instanceof CryptoTensorsError)) throw error;
    const kind = recogniseFile(bytes);
    if (kind !== null && !OF_JSON.has(kind)) throw otherFile(origin, kind);
    const { message, position } = error;
    throw new CryptoTensorsError('InvalidKey', message, {
      ...(position === undefined ? {} : { position }),
      ...pathOf(origin),
    });
  }
  if (isMap(document) && !document.has('kty') && !document.has('keys')) {
    const kind = recogniseFile(bytes);
    if (kind === SHARD_INDEX) throw otherFile(origin, kind);
  }
  if (isMap(document)) return document;
  throw new CryptoTensorsError(
    'InvalidKey',
    `${origin.where} must be a JWK or a JWK set {"keys":[…]}, but is ${describeJson(document)}`,
    pathOf(origin),
  );
}

/** Kinds whose text may be keys that are not quite right: what is wrong with them says more. */
const OF_JSON: ReadonlySet<string> = new Set([JWK, JSON_TEXT]);

function otherFile(origin: KeyOrigin, kind: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidKey',
    `${origin.where} must be a JWK, a JWK set {"keys":[…]} or a key in PEM, but is ${kind}`,
    { expected: 'a JWK, a JWK set or PEM', found: kind, ...pathOf(origin) },
  );
}

function readMembers(jwk: JsonObject, label: string, origin: KeyOrigin): JwkMembers {
  const named = { label, origin, kid: null };
  // `null` is how some serialisers write a member that is absent.
  const string = (name: string, owner: KeyLabel): string | null => {
    const value = jwk.get(name) ?? null;
    if (value === null || typeof value === 'string') return value;
    throw invalidKey(owner, `"${name}" must be a string`);
  };
  const owner = { ...named, kid: string('kid', named) };
  const range = (name: string): JsonRange | null => {
    const value = jwk.get(name) ?? null;
    if (value === null || value instanceof JsonRange) return value;
    throw invalidKey(owner, `"${name}" must be a string`);
  };
  const kty = string('kty', owner);
  if (kty === null)
    throw invalidKey(owner, '"kty" is missing; expected "oct" for a master key, "okp" for a signing key');
  return {
    ...owner,
    kty,
    alg: string('alg', owner),
    jku: string('jku', owner),
    crv: string('crv', owner),
    use: string('use', owner),
    state: string('state', owner),
    k: range('k'),
    x: range('x'),
    y: range('y'),
    d: range('d'),
  };
}

function pathOf({ path }: KeyOrigin): { path?: string } {
  return path === undefined ? {} : { path };
}
