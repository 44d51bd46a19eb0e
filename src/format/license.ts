/** `__license__`: what a licence adds to a header (docs/licenses.md). Signed as the rest of the header. */
import { quote } from '../errors.js';
import type { Header } from './header.js';
import { parseJwe, type Jwe } from './jwe.js';
import { invalidLicense } from './license-error.js';
import { JsonNumber, JsonRange, describeJson, parseJsonObject, type JsonObject, type JsonValue } from './json.js';
import { Reserved } from './vocabulary.js';

const VERSION = '1';
/** Far more than 1 MiB of claims and a key take; the rest of a header is as long as the model makes it. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;
const MAX_ID_CHARACTERS = 200;
/** Times that the 64-bit nanoseconds of a policy can hold. */
const [MIN_TIME, MAX_TIME] = [Date.parse('1678-01-01T00:00:00Z'), Date.parse('2262-01-01T00:00:00Z')];

/** A value in claims. */
export type ClaimValue =
  null | boolean | number | string | readonly ClaimValue[] | { readonly [name: string]: ClaimValue };

/** What a licence says. Times are milliseconds since 1970. */
export interface LicenseTerms {
  id: string;
  issued: number;
  notBefore: number | null;
  expires: number | null;
  /** Objects in it have no prototype. */
  claims: Readonly<Record<string, ClaimValue>>;
}

/** A licence as a header holds it. */
export interface License extends LicenseTerms {
  /** The licence's master key, encrypted for the customer. */
  key: Jwe;
}

const MEMBERS = ['version', 'id', 'issued', 'not_before', 'expires', 'claims', 'key'];

/**
 * The licence in a header; null where there is none. Unknown members are refused: a condition that this reader does not know must
 * not be taken for one that is not there.
 *
 * @throws {CryptoTensorsError} `InvalidLicense`
 */
export function parseLicense({ metadata }: Pick<Header, 'metadata'>): License | null {
  const text = metadata?.getJson(Reserved.license);
  if (metadata === null || text === undefined) return null;
  if (text.end - text.start > MAX_TEXT_BYTES)
    throw invalidLicense(`${Reserved.license} has more than ${MAX_TEXT_BYTES} bytes`);
  const document = parseJsonObject(metadata.get(Reserved.license)!, { code: 'InvalidLicense', name: Reserved.license });
  // Before all else: of another version nothing is known.
  const version = parseString(document, 'version');
  if (version !== VERSION) {
    throw invalidLicense(
      `it is of version ${quote(version)}, and this library reads "${VERSION}": a newer release may read it`,
    );
  }
  const unknown = [...document.keys()].find((name) => !MEMBERS.includes(name));
  if (unknown !== undefined)
    throw invalidLicense(`it holds ${quote(unknown)}, which version "${VERSION}" does not have`);
  const claims = document.get('claims');
  if (!(claims instanceof Map)) throw invalidLicense(`"claims" must be an object, but is ${describeJson(claims)}`);
  return {
    id: checkLicenseId(parseString(document, 'id'), invalidLicense),
    issued: parseTime(document, 'issued') ?? absent('issued'),
    notBefore: parseTime(document, 'not_before'),
    expires: parseTime(document, 'expires'),
    claims: plainObject(claims, 'claims'),
    key: parseJwe(parseString(document, 'key')),
  };
}

/** The text of `__license__`. @param key compact JWE */
export function encodeLicense({ id, issued, notBefore, expires, claims }: LicenseTerms, key: string): string {
  return JSON.stringify({
    version: VERSION,
    id,
    issued: timeText(issued),
    ...(notBefore === null ? {} : { not_before: timeText(notBefore) }),
    ...(expires === null ? {} : { expires: timeText(expires) }),
    claims,
    key,
  });
}

/** @throws what `refuse` makes of an id that is too short or too long */
export function checkLicenseId(id: string, refuse: (problem: string) => Error): string {
  if (id !== '' && id.length <= MAX_ID_CHARACTERS && id.isWellFormed()) return id;
  throw refuse(`"id" must have 1 to ${MAX_ID_CHARACTERS} characters`);
}

/** Whether a licence can name this time. */
export function isLicenseTime(milliseconds: number): boolean {
  return milliseconds >= MIN_TIME && milliseconds <= MAX_TIME;
}

/** RFC 3339, in UTC, with milliseconds: each time has exactly one text. */
export function timeText(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

function parseString(document: JsonObject, name: string): string {
  const value = document.get(name);
  if (typeof value === 'string') return value;
  throw invalidLicense(`"${name}" must be a string, but is ${describeJson(value)}`);
}

function parseTime(document: JsonObject, name: string): number | null {
  if (!document.has(name)) return null;
  const text = parseString(document, name);
  const time = Date.parse(text);
  if (isLicenseTime(time) && timeText(time) === text) return time;
  throw invalidLicense(`"${name}" must be a time in UTC such as "2026-01-31T12:00:00.000Z", but is ${quote(text)}`);
}

function absent(name: string): never {
  throw invalidLicense(`"${name}" is missing`);
}

function plainObject(object: JsonObject, path: string): Record<string, ClaimValue> {
  // Without a prototype, `__proto__` is a name like any other.
  const plain = Object.create(null) as Record<string, ClaimValue>;
  for (const [name, value] of object) plain[name] = plainValue(value, path);
  return plain;
}

function plainValue(value: JsonValue, path: string): ClaimValue {
  if (value instanceof Map) return plainObject(value, path);
  if (Array.isArray(value)) return value.map((item) => plainValue(item, path));
  if (value instanceof JsonRange) throw new Error('a licence has no raw strings');
  if (typeof value !== 'bigint' && !(value instanceof JsonNumber)) return value;
  // As JSON.parse reads it, which is what the vendor's claims went through.
  const number = Number(value instanceof JsonNumber ? value.text : value);
  if (Number.isFinite(number)) return number;
  throw invalidLicense(`"${path}" holds a number that is too large`);
}
