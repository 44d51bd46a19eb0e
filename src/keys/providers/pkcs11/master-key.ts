import { isUint8Array } from 'node:util/types';
import { randomBytes } from 'node:crypto';
import { keyUnavailable } from '../../unavailable.js';
import { quote } from '../../../errors.js';
import { AEAD_KEY_BYTES, IV_BYTES, TAG_BYTES } from '../../../format/vocabulary.js';
import type { AeadAlgorithm } from '../../../format/vocabulary.js';
import type { RemoteMasterKey } from '../types.js';
import type { WrappedDek } from '../../types.js';
import { CK, aesGcm, readUlong, tokenError, view } from './module.js';
import type { Handle } from './module.js';
import { attribute, findNamed, findObjects, isSet, namesOf, theOnly } from './objects.js';
import type { Condition, Locator, TokenObject } from './objects.js';
import type { Session, Token } from './token.js';

const AES_KEYS: readonly Condition[] = [
  [CK.CLASS, CK.SECRET_KEY],
  [CK.KEY_TYPE, CK.AES],
  [CK.DECRYPT, true],
];

/** The AES keys of a name, or all of them, as keys that stay where they are. */
export function findMasterKeys(token: Token, session: Session, kid: string | null): RemoteMasterKey[] {
  if (kid !== null) {
    const found = findNamed(session, AES_KEYS, kid);
    if (found === null) return [];
    return masterKey(token, session, theOnly(found.objects, kid), found.locator, kid);
  }
  const objects = findObjects(session, AES_KEYS);
  return namesOf(objects).flatMap((name, i) => {
    const found = name === null ? null : findNamed(session, AES_KEYS, name);
    // One key's id in hexadecimal can be another's label.
    const isIt = found?.objects.length === 1 && view(found.objects[0]!.handle).equals(objects[i]!.handle);
    return isIt ? masterKey(token, session, objects[i]!, found.locator, name!) : [];
  });
}

/** A list of the key, or of nothing where its length is none of the format's. */
function masterKey(
  token: Token,
  session: Session,
  { handle }: TokenObject,
  locator: Locator,
  kid: string,
): RemoteMasterKey[] {
  const algorithm = algorithmOf(readUlong(attribute(session, handle, CK.VALUE_LEN)));
  if (algorithm === null) return [];
  const use = <Item, Result>(
    items: readonly Item[],
    signal: AbortSignal,
    work: (session: Session, key: Handle, item: Item, index: number) => Promise<Result>,
  ): Promise<Result[]> =>
    token.use(async (current) => {
      const key = theOnly(findObjects(current, [...locator.kind, locator.name]), kid).handle;
      const results: Result[] = [];
      try {
        for (const [index, item] of items.entries()) {
          signal.throwIfAborted();
          results.push(await work(current, key, item, index));
        }
        return results;
      } catch (error) {
        for (const result of results) if (isUint8Array(result)) result.fill(0);
        throw error;
      }
    });
  const key: RemoteMasterKey = {
    kid,
    algorithm,
    unwrap: (deks, { signal }) =>
      use(deks, signal, (current, handle, dek, i) => decrypt(current, handle, dek, `data key ${i}`)),
  };
  if (!isSet(session, handle, CK.ENCRYPT)) return [key];
  return [
    {
      ...key,
      wrap: (deks, { signal }) =>
        use(deks, signal, async (current, handle, dek, i) => {
          const wrapped = await encrypt(current, handle, dek);
          if (i === 0) await checkIv(current, handle, wrapped, dek, kid);
          return wrapped;
        }),
    },
  ];
}

function algorithmOf(keyBytes: number): AeadAlgorithm | null {
  if (keyBytes === AEAD_KEY_BYTES.aes256gcm) return 'aes256gcm';
  return keyBytes === AEAD_KEY_BYTES.aes128gcm ? 'aes128gcm' : null;
}

async function encrypt({ library, handle }: Session, key: Handle, dek: Uint8Array): Promise<WrappedDek> {
  const iv = randomBytes(IV_BYTES);
  try {
    library.C_EncryptInit(handle, aesGcm(iv), key);
    const sealed = await library.C_EncryptAsync(handle, view(dek), Buffer.alloc(dek.byteLength + TAG_BYTES));
    return {
      wrapped: Uint8Array.from(sealed.subarray(0, dek.byteLength)),
      iv: Uint8Array.from(iv),
      tag: Uint8Array.from(sealed.subarray(dek.byteLength)),
    };
  } catch (cause) {
    throw tokenError('it cannot encrypt with this key by AES-GCM', cause);
  }
}

async function decrypt(
  { library, handle }: Session,
  key: Handle,
  { wrapped, iv, tag }: WrappedDek,
  what: string,
): Promise<Uint8Array> {
  const sealed = Buffer.concat([wrapped, tag]);
  // As long as what goes in: some tokens ask for that much.
  const room = Buffer.alloc(sealed.byteLength);
  try {
    library.C_DecryptInit(handle, aesGcm(iv), key);
    const opened = await library.C_DecryptAsync(handle, sealed, room);
    const dek = new Uint8Array(new ArrayBuffer(opened.byteLength));
    dek.set(opened);
    return dek;
  } catch (cause) {
    throw tokenError(`it cannot decrypt ${what}: perhaps the file is encrypted for another key of that name`, cause);
  } finally {
    room.fill(0);
  }
}

/** Some tokens, in FIPS mode, encrypt with an IV of their own choice and say nothing: such a file would never open again. */
async function checkIv(
  session: Session,
  key: Handle,
  wrapped: WrappedDek,
  dek: Uint8Array,
  kid: string,
): Promise<void> {
  let cause: unknown;
  try {
    const opened = await decrypt(session, key, wrapped, 'what it has just encrypted');
    const same = Buffer.compare(opened, dek) === 0;
    opened.fill(0);
    if (same) return;
  } catch (error) {
    cause = error;
  }
  throw keyUnavailable(
    `the PKCS#11 token does not encrypt with the key ${quote(kid)} and the IV that it is given, and such a file could not be opened: switch it out of the mode in which it chooses IVs itself`,
    { kid, cause, retryable: false },
  );
}
