import { CryptoTensorsError, quote } from '../../../errors.js';
import { CK, view } from './module.js';
import type { Handle } from './module.js';
import type { Session } from './token.js';

/** What a template asks of an object: attribute and value. */
export type Condition = readonly [type: number, value: number | boolean | string | Uint8Array];

/** An object of the token's. The handle is good for the session that it was found in. */
export interface TokenObject {
  readonly handle: Handle;
  readonly label: string;
  readonly id: Uint8Array;
}

/** A key as it is found, again and again, in whatever session there is. */
export interface Locator {
  readonly kind: readonly Condition[];
  readonly name: Condition;
}

const BATCH = 64;
const ED25519_BYTES = 32;
const POINT_PREFIXES: readonly (readonly number[])[] = [[], [0x04, 0x20], [0x03, 0x21, 0x00]];

export function findObjects({ library, handle }: Session, conditions: readonly Condition[]): TokenObject[] {
  const template = conditions.map(([type, value]) => ({ type, value: encode(value) }));
  const handles: Handle[] = [];
  library.C_FindObjectsInit(handle, template);
  try {
    for (;;) {
      const batch = library.C_FindObjects(handle, BATCH);
      for (const handle of batch) handles.push(handle);
      if (batch.length < BATCH) break;
    }
  } finally {
    library.C_FindObjectsFinal(handle);
  }
  return handles.map((object) => ({
    handle: object,
    label: view(attribute({ library, handle }, object, CK.LABEL)).toString('utf8'),
    id: attribute({ library, handle }, object, CK.ID),
  }));
}

/** The keys of a kind under a name: the label, or the id as text or in hexadecimal. The first of these that any key has counts. */
export function findNamed(
  session: Session,
  kind: readonly Condition[],
  kid: string,
): { locator: Locator; objects: TokenObject[] } | null {
  for (const name of conditionsOf(kid)) {
    const objects = findObjects(session, [...kind, name]);
    if (objects.length > 0) return { locator: { kind, name }, objects };
  }
  return null;
}

/**
 * Exactly one object.
 *
 * @throws {CryptoTensorsError} `InvalidKey` if several have the name, `KeyNotFound` if none has it (any more)
 */
export function theOnly(objects: readonly TokenObject[], kid: string): TokenObject {
  const [object, ...others] = objects;
  if (object === undefined) {
    throw new CryptoTensorsError('KeyNotFound', `the PKCS#11 token has no key ${quote(kid)} any more`, { kid });
  }
  if (others.length > 0) {
    throw new CryptoTensorsError(
      'InvalidKey',
      `the PKCS#11 token has ${objects.length} keys of one kind that are called ${quote(kid)}: give each a label or an id of its own`,
      { kid },
    );
  }
  return object;
}

/** What a key is called where nobody asked for a name: its label, or its id in hexadecimal, whichever no other key has. */
export function namesOf(objects: readonly TokenObject[]): (string | null)[] {
  const labels = objects.map(({ label }) => label);
  const ids = objects.map(({ id }) => view(id).toString('hex'));
  const isUnique = (name: string, names: readonly string[]): boolean =>
    name !== '' && names.indexOf(name) === names.lastIndexOf(name);
  return objects.map((_, i) => {
    if (isUnique(labels[i]!, labels)) return labels[i]!;
    return isUnique(ids[i]!, ids) ? ids[i]! : null;
  });
}

export function attribute({ library, handle }: Session, object: Handle, type: number): Uint8Array {
  return library.C_GetAttributeValue(handle, object, [{ type }])[0]!.value;
}

/** An attribute that may be absent, or not for us to see. */
function optionalAttribute(session: Session, object: Handle, type: number): Uint8Array | null {
  try {
    return attribute(session, object, type);
  } catch {
    return null;
  }
}

export function isSet(session: Session, object: Handle, type: number): boolean {
  return optionalAttribute(session, object, type)?.[0] === 1;
}

/**
 * The 32 bytes of an Ed25519 public key out of CKA_EC_POINT: in a DER OCTET STRING (PKCS#11 3.0 §2.3.5), or, as some tokens have it,
 * in a BIT STRING or bare. Null for another curve.
 */
export function ed25519Point(point: Uint8Array): Uint8Array | null {
  const prefix = POINT_PREFIXES.find(({ length }) => length === point.byteLength - ED25519_BYTES);
  if (prefix?.every((byte, i) => point[i] === byte) !== true) return null;
  return Uint8Array.from(point.subarray(prefix.length));
}

function encode(value: Condition[1]): number | boolean | Buffer {
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  return typeof value === 'object' ? view(value) : value;
}

function conditionsOf(kid: string): Condition[] {
  const conditions: Condition[] = [
    [CK.LABEL, kid],
    [CK.ID, Buffer.from(kid, 'utf8')],
  ];
  if (/^(?:[0-9a-f]{2})+$/i.test(kid)) conditions.push([CK.ID, Buffer.from(kid, 'hex')]);
  return conditions;
}
