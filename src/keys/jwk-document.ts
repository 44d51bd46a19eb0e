import { CryptoTensorsError, quote } from '../errors.js';
import { parseJsonDocument } from '../format/json.js';

/** Where a key came from, for messages. */
export interface KeyOrigin {
  /** As in "key 2 in …": a quoted path, or the name of the option. */
  readonly where: string;
  readonly path?: string | undefined;
}

/** Bytes of a document, without the quotes around them. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

/** The members of one JWK that this library reads. Key material stays bytes: it never becomes a JavaScript string. */
export interface JwkMembers {
  readonly kty: string;
  readonly kid: string | null;
  readonly alg: string | null;
  readonly jku: string | null;
  readonly crv: string | null;
  readonly k: TextRange | null;
  readonly x: TextRange | null;
  readonly d: TextRange | null;
  /** What the key is called in messages. */
  readonly label: string;
  readonly origin: KeyOrigin;
}

export interface JwkDocument {
  readonly jwks: readonly JwkMembers[];
  /** False for a single JWK that stands by itself. */
  readonly isSet: boolean;
}

const MATERIAL = ['k', 'x', 'd'];

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
  const jwks = keys.map((jwk: unknown, index) => {
    if (jwk instanceof Map) return readMembers(jwk, `key ${index}`, origin);
    throw new CryptoTensorsError('InvalidKey', `key ${index} in ${origin.where} must be a JSON object`, pathOf(origin));
  });
  return { jwks, isSet: true };
}

/** An error about one key: names the key and where it is, never what is in it. */
export function invalidKey(jwk: Pick<JwkMembers, 'label' | 'kid' | 'origin'>, problem: string): CryptoTensorsError {
  const kid = jwk.kid === null ? '' : ` (kid ${quote(jwk.kid)})`;
  return new CryptoTensorsError('InvalidKey', `${jwk.label}${kid} in ${jwk.origin.where}: ${problem}`, {
    kid: jwk.kid,
    ...pathOf(jwk.origin),
  });
}

function parseObject(bytes: Uint8Array, origin: KeyOrigin): ReadonlyMap<unknown, unknown> {
  let document: unknown;
  try {
    document = parseJsonDocument(bytes, { rawStrings: MATERIAL });
  } catch (error) {
    // Neither the parser's words nor the error itself are passed on: they may quote the text, and the text may be a key.
    const position = error instanceof CryptoTensorsError ? error.position : undefined;
    const at = position === undefined ? '' : ` (at byte ${position})`;
    throw new CryptoTensorsError(
      'InvalidKey',
      `${origin.where} is not a JWK or JWK set: not valid JSON, or a name that stands twice in one object${at}`,
      { ...(position === undefined ? {} : { position }), ...pathOf(origin) },
    );
  }
  if (document instanceof Map) return document;
  throw new CryptoTensorsError(
    'InvalidKey',
    `${origin.where} is not a JWK or JWK set: expected a JSON object such as {"keys":[…]}`,
    pathOf(origin),
  );
}

function readMembers(jwk: ReadonlyMap<unknown, unknown>, label: string, origin: KeyOrigin): JwkMembers {
  const named = { label, origin, kid: null };
  // `null` is how some serialisers write a member that is absent.
  const string = (name: string, owner: Pick<JwkMembers, 'label' | 'kid' | 'origin'>): string | null => {
    const value = jwk.get(name) ?? null;
    if (value === null || typeof value === 'string') return value;
    throw invalidKey(owner, `"${name}" must be a string`);
  };
  const owner = { ...named, kid: string('kid', named) };
  const range = (name: string): TextRange | null => {
    const value = jwk.get(name) ?? null;
    if (value === null || isRange(value)) return value;
    throw invalidKey(owner, `"${name}" must be a string`);
  };
  const kty = string('kty', owner);
  if (kty === null) throw invalidKey(owner, '"kty" is missing; expected "oct" for a master key, "okp" for a signing key');
  return {
    ...owner,
    kty,
    alg: string('alg', owner),
    jku: string('jku', owner),
    crv: string('crv', owner),
    k: range('k'),
    x: range('x'),
    d: range('d'),
  };
}

function isRange(value: unknown): value is TextRange {
  return typeof value === 'object' && value !== null && 'start' in value && 'end' in value && !(value instanceof Map);
}

function pathOf({ path }: KeyOrigin): { path?: string } {
  return path === undefined ? {} : { path };
}
