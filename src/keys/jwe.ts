import { createDecipheriv, createHash } from 'node:crypto';
import type { CryptoTensorsError } from '../errors.js';
import { JWE_ENCRYPTION } from '../format/jwe.js';
import type { Jwe } from '../format/jwe.js';
import { invalidLicense } from '../format/license-error.js';
import type { Engine } from '../engine/types.js';
import { agree, importPublicKey } from './agreement.js';
import type { RecipientKey } from './types.js';

/*
 * Opening what a licence carries: ECDH-ES in direct key agreement with A256GCM. By hand, on node:crypto, and not by the library that
 * makes them: the blocking forms need it, what it derives on the way is wiped, and each checks the other.
 */

const KEY_BITS = 256;
const TAG_BYTES = 16;

/**
 * What is in a JWE, for the caller to wipe.
 *
 * @throws InvalidLicense if it is not for this key, or was changed
 */
export function openJwe(jwe: Jwe, key: RecipientKey, engine: Engine): Uint8Array {
  const peer = jwe.curve === key.curve ? importPublicKey(jwe.curve, jwe.ephemeral) : null;
  if (peer === null || key.secret === null) throw invalid(`"epk" is no public key of ${key.curve}`);
  const shared = agree(key.curve, key.secret, peer, engine);
  if (shared === null) throw invalid('"epk" is a public key of small order');
  const contentKey = deriveKey(shared, engine);
  const plain = new Uint8Array(new ArrayBuffer(jwe.ciphertext.length));
  let passed = false;
  try {
    const decipher = createDecipheriv('aes-256-gcm', contentKey, jwe.iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(jwe.protectedHeader);
    decipher.setAuthTag(jwe.tag);
    const piece = decipher.update(jwe.ciphertext);
    plain.set(piece);
    engine.wipe(piece);
    decipher.final();
    passed = true;
    return plain;
  } catch (cause) {
    throw invalid('it does not decrypt under the key that it names', cause);
  } finally {
    engine.wipe(contentKey);
    if (!passed) engine.wipe(plain);
  }
}

/** The Concat KDF (RFC 7518 §4.6.2, NIST SP 800-56A): one round of SHA-256, for as many bits as it has. Wipes the secret. */
function deriveKey(shared: Uint8Array, engine: Engine): Uint8Array {
  const algorithm = Buffer.from(JWE_ENCRYPTION);
  // PartyUInfo and PartyVInfo are empty.
  const otherInfo = Buffer.concat([uint32(algorithm.length), algorithm, uint32(0), uint32(0), uint32(KEY_BITS)]);
  const derived = createHash('sha256').update(uint32(1)).update(shared).update(otherInfo).digest();
  engine.wipe(shared);
  return derived;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function invalid(problem: string, cause?: unknown): CryptoTensorsError {
  return invalidLicense(`its "key" is refused: ${problem}`, cause);
}
