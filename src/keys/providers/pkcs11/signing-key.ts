import { CryptoTensorsError, quote } from '../../../errors.js';
import type { RawSigningKey } from '../types.js';
import { CK, tokenError, view } from './module.js';
import { attribute, ed25519Point, findNamed, findObjects, namesOf, theOnly } from './objects.js';
import type { Condition, TokenObject } from './objects.js';
import type { Session, Token } from './token.js';

const SIGNATURE_BYTES = 64;
const EDWARDS: Condition = [CK.KEY_TYPE, CK.EC_EDWARDS];
const PUBLIC_KEYS: readonly Condition[] = [[CK.CLASS, CK.PUBLIC_KEY], EDWARDS];
const PRIVATE_KEYS: readonly Condition[] = [[CK.CLASS, CK.PRIVATE_KEY], EDWARDS, [CK.SIGN, true]];

/** The Ed25519 public keys of a name, or all of them. */
export function findVerifyingKeys(session: Session, kid: string | null): RawSigningKey[] {
  if (kid !== null) {
    const found = findNamed(session, PUBLIC_KEYS, kid);
    if (found === null) return [];
    const publicKey = pointOf(session, theOnly(found.objects, kid));
    return publicKey === null ? [] : [{ kid, publicKey }];
  }
  const objects = findObjects(session, PUBLIC_KEYS);
  return namesOf(objects).flatMap((name, i) => {
    const publicKey = pointOf(session, objects[i]!);
    return name === null || publicKey === null ? [] : [{ kid: name, publicKey }];
  });
}

/** The Ed25519 private keys of a name, or all of them, as keys that sign where they are. */
export function findSigningKeys(token: Token, session: Session, kid: string | null): RawSigningKey[] {
  if (kid !== null) {
    const found = findNamed(session, PRIVATE_KEYS, kid);
    if (found === null) return [];
    return signingKey(token, session, theOnly(found.objects, kid), kid);
  }
  const objects = findObjects(session, PRIVATE_KEYS);
  return namesOf(objects).flatMap((name, i) => (name === null ? [] : signingKey(token, session, objects[i]!, name)));
}

/** A list of the key, or of nothing where it is on another curve. */
function signingKey(token: Token, session: Session, key: TokenObject, kid: string): RawSigningKey[] {
  const publicObjects = findObjects(session, [...PUBLIC_KEYS, ...identityOf(key)]);
  if (publicObjects.length === 0) {
    throw new CryptoTensorsError(
      'InvalidKey',
      `the PKCS#11 token has the private key ${quote(kid)}, but no public key object of the same label and id, which is needed to check its signatures`,
      { kid },
    );
  }
  const publicKey = pointOf(session, theOnly(publicObjects, kid));
  if (publicKey === null) return [];
  return [
    {
      kid,
      publicKey,
      sign: (message) => token.use((current) => sign(current, key, kid, message)),
    },
  ];
}

async function sign(session: Session, key: TokenObject, kid: string, message: Uint8Array): Promise<Uint8Array> {
  const { library, handle } = session;
  const found = theOnly(findObjects(session, [...PRIVATE_KEYS, ...identityOf(key)]), kid);
  try {
    library.C_SignInit(handle, { mechanism: CK.EDDSA }, found.handle);
    return Uint8Array.from(await library.C_SignAsync(handle, view(message), Buffer.alloc(SIGNATURE_BYTES)));
  } catch (cause) {
    throw tokenError('it cannot sign with this key by Ed25519', cause);
  }
}

/** What tells a pair of keys from the others. Either may be empty. */
function identityOf({ label, id }: TokenObject): Condition[] {
  return [
    [CK.LABEL, label],
    [CK.ID, id],
  ];
}

function pointOf(session: Session, { handle }: TokenObject): Uint8Array | null {
  return ed25519Point(attribute(session, handle, CK.EC_POINT));
}
