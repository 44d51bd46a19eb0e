import { argumentError, CryptoTensorsError, looksSecret, quoteInput, typeError } from '../errors.js';
import { named, say } from '../wording.js';
import type { Wording } from '../wording.js';
import type { ClaimValue } from '../format/license.js';

const MAX_DEPTH = 64;
const MAX_BYTES = 1024 * 1024;

/**
 * A private copy of the caller's claims, so that what was checked is what the policy sees. Objects in it have no prototype:
 * `__proto__`, `constructor` and the like are names like any other.
 *
 * @param where how messages name the claims
 * @throws TypeError if a value in it is not JSON data
 * @throws InvalidOption if it is cyclic, nested more than 64 deep, or longer than 1 MiB as JSON
 */
export function copyClaims(claims: unknown, where: string): Record<string, ClaimValue> {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw argumentError(where, 'an object of plain JSON data', claims);
  }
  return new Copier(where).copy(claims, where) as Record<string, ClaimValue>;
}

class Copier {
  /** Bytes of JSON text so far. */
  private bytes = 0;
  /** The objects that are being copied, outermost first. */
  private readonly open: object[] = [];

  constructor(private readonly where: string) {}

  copy(value: unknown, path: string): ClaimValue {
    switch (typeof value) {
      case 'string':
        this.countText(value, path);
        return value;
      case 'number':
        if (!Number.isFinite(value)) throw argumentError(path, 'a finite number', value);
        this.count(String(value).length);
        return value;
      case 'boolean':
        this.count(5);
        return value;
      case 'object':
        if (value === null) {
          this.count(4);
          return null;
        }
        return this.copyObject(value, path);
      default:
        throw argumentError(path, 'plain JSON data', value);
    }
  }

  private copyObject(value: object, path: string): ClaimValue {
    if (this.open.includes(value)) throw this.refuse(say`${named(path)} refers to an object that contains it`);
    if (this.open.length >= MAX_DEPTH) throw this.refuse(say`${named(path)} is nested more than ${MAX_DEPTH} deep`);
    this.open.push(value);
    this.count(2);
    const copy = Array.isArray(value) ? this.copyArray(value, path) : this.copyFields(value, path);
    this.open.pop();
    return copy;
  }

  private copyArray(value: unknown[], path: string): ClaimValue[] {
    const copy: ClaimValue[] = [];
    // By index: a hole is refused as the undefined that it reads as.
    for (let i = 0; i < value.length; i++) {
      this.count(1);
      copy.push(this.copy(value[i], `${path}[${i}]`));
    }
    return copy;
  }

  private copyFields(value: object, path: string): Record<string, ClaimValue> {
    const prototype = Object.getPrototypeOf(value) as object | null;
    // Also the plain objects of another realm, whose Object.prototype is not this one's.
    const plain = prototype === null || Object.getPrototypeOf(prototype) === null;
    if (!plain) throw argumentError(path, 'plain JSON data', value);
    const copy = Object.create(null) as Record<string, ClaimValue>;
    for (const [name, field] of Object.entries(value as Record<string, unknown>)) {
      const bare = /^[A-Za-z_$][\w$]{0,79}$/.test(name) && !looksSecret(name);
      const fieldPath = bare ? `${path}.${name}` : `${path}[${quoteInput(name)}]`;
      this.count(2);
      this.countText(name, fieldPath);
      copy[name] = this.copy(field, fieldPath);
    }
    return copy;
  }

  private countText(text: string, path: string): void {
    if (/\p{Surrogate}/u.test(text))
      throw typeError(say`${named(path)} must be well-formed Unicode, not a string with a lone surrogate`);
    // Escaping comes on top; this alone bounds the work.
    this.count(text.length);
    this.count(new TextEncoder().encode(JSON.stringify(text)).length - text.length);
  }

  private count(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes > MAX_BYTES) throw this.refuse(say`${named(this.where)} is longer than ${MAX_BYTES} bytes as JSON`);
  }

  private refuse(message: Wording): CryptoTensorsError {
    return new CryptoTensorsError('InvalidOption', say`${message}; claims are small facts, as plain JSON data`);
  }
}
