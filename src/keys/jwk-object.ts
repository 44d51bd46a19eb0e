import { argumentError } from '../errors.js';
import type { Jwk, JwkSet } from './types.js';

/** The members that are read; others are left where they are. */
const MEMBERS = ['kty', 'kid', 'alg', 'jku', 'crv', 'use', 'state', 'k', 'x', 'y', 'd'];

export function isJwk(value: object): value is Jwk {
  return Object.hasOwn(value, 'kty');
}

export function isJwkSet(value: object): value is JwkSet {
  return Object.hasOwn(value, 'keys');
}

/**
 * JSON text of a JWK or JWK set that came as JavaScript objects, so that it meets the same checks as a file does. Only
 * the objects' own data properties count: nothing is inherited and no getter runs. The caller wipes the bytes.
 *
 * @throws TypeError if it is not made of plain objects and strings
 */
export function jwksFromObject(value: unknown, name: string): Uint8Array {
  const object = checkObject(value, name);
  if (!isJwkSet(object)) return encode(pickMembers(object, name));
  const keys = ownValue(object, 'keys', name);
  if (!Array.isArray(keys)) throw argumentError(`${name}.keys`, 'an array of JWKs', keys);
  return encode({
    keys: keys.map((jwk: unknown, index) => {
      const at = `${name}.keys[${index}]`;
      return pickMembers(checkObject(jwk, at), at);
    }),
  });
}

function pickMembers(jwk: object, name: string): Record<string, string> {
  const members: Record<string, string> = {};
  for (const member of MEMBERS) {
    const value = ownValue(jwk, member, name);
    if (value === undefined || value === null) continue;
    if (typeof value !== 'string') throw argumentError(`${name}.${member}`, 'a string', value);
    members[member] = value;
  }
  return members;
}

function ownValue(object: object, member: string, name: string): unknown {
  const property = Object.getOwnPropertyDescriptor(object, member);
  if (property === undefined || Object.hasOwn(property, 'value')) return property?.value;
  throw new TypeError(`${name}.${member} must be a plain property, not a getter`);
}

function checkObject(value: unknown, name: string): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw argumentError(name, 'a JWK or JWK set object', value);
}

function encode(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
