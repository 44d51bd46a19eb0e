import { CryptoTensorsError, quote } from '../errors.js';
import { lazily } from '../lazy.js';
import { base64Length, writeBase64 } from '../format/base64.js';
import { JWE_ALGORITHM, JWE_CONTENT_TYPE, JWE_ENCRYPTION } from '../format/jwe.js';
import type { Engine, Secret } from '../engine/types.js';
import type { AeadAlgorithm } from '../format/vocabulary.js';
import { publicRecipientJwk } from '../keys/generate-recipient.js';
import type { RecipientKey } from '../keys/types.js';

const encoder = new TextEncoder();

/** The master key of a licence. */
export interface LicenseKey {
  kid: string;
  algorithm: AeadAlgorithm;
  secret: Secret;
}

/** Encrypts a licence's master key, as a JWK, for the customer's public key: a compact JWE that `openJwe` opens. */
export async function sealKey(key: LicenseKey, to: RecipientKey, engine: Engine): Promise<string> {
  // Not at the top: only who issues licences needs it.
  const { CompactEncrypt, importJWK } = await lazily(() => import('jose'));
  const text = jwkText(key, engine);
  try {
    return await new CompactEncrypt(text)
      .setProtectedHeader({ alg: JWE_ALGORITHM, enc: JWE_ENCRYPTION, cty: JWE_CONTENT_TYPE, kid: to.thumbprint })
      .encrypt(await importJWK(publicRecipientJwk(to), JWE_ALGORITHM));
  } catch (cause) {
    // Of small order: what it agrees on, anybody knows.
    throw new CryptoTensorsError(
      'InvalidKey',
      `nothing can be encrypted for the recipient key ${quote(to.kid ?? to.thumbprint)}: ask the customer for a new one`,
      { kid: to.kid, cause },
    );
  } finally {
    engine.wipe(text);
  }
}

/** As the reference reads it, so that whoever takes it out by any JOSE library has a key file. No part of the key is ever a string. */
function jwkText({ kid, algorithm, secret }: LicenseKey, engine: Engine): Uint8Array {
  const start = encoder.encode(`{"kty":"oct","alg":"${algorithm}","kid":${JSON.stringify(kid)},"k":"`);
  const end = encoder.encode('"}');
  const bytes = engine.exportSecret(secret);
  try {
    const text = new Uint8Array(new ArrayBuffer(start.length + base64Length(bytes.length) + end.length));
    text.set(start);
    const at = writeBase64(bytes, 0, bytes.length, text, start.length);
    text.set(end, at);
    return text;
  } finally {
    engine.wipe(bytes);
  }
}
