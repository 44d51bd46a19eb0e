import type { JwkSet } from '../keys/types.js';
import { licensedKey } from '../open/license.js';
import { runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import { readLicense } from './inspect.js';
import type { LicenseInput } from './inspect.js';
import { licenseAccess, ownVerifyOptions, verifyTerms } from './verify.js';
import type { VerifyLicenseOptions } from './verify.js';

/** Options of `exportLicenseKey`. `keys` holds the customer's private key, `trust` the vendor's public signing key. */
export type ExportLicenseKeyOptions = Omit<VerifyLicenseOptions, 'body'>;

const OPTIONS: readonly (keyof ExportLicenseKeyOptions)[] = ['trust', 'keys', 'signKid', 'now', 'signal'];

/**
 * Takes the licence's master key out of it, as a JWK set together with the public key of its signer: what other programs that read
 * the format, such as the reference, need for an ordinary file that `attachHeader` made of body and licence. The result **is** a
 * secret. This library needs none of it: it opens such a file with the customer's own key.
 *
 * @throws {CryptoTensorsError} what `verifyLicense` throws; `KeyNotFound` if it was issued to another key
 */
export async function exportLicenseKey(license: LicenseInput, options: ExportLicenseKeyOptions): Promise<JwkSet> {
  return runAsync(exportKey(license, ownVerifyOptions(options, OPTIONS, 'exportLicenseKey')));
}

function* exportKey(input: LicenseInput, options: ExportLicenseKeyOptions): Twin<JwkSet> {
  const read = yield* readLicense(input);
  const { engine, keys, license } = read;
  const access = yield* licenseAccess(options, read);
  try {
    const signer = yield* verifyTerms(read, access);
    const recipient = yield* access.recipientKey(license.key.recipient);
    const { secret } = yield* licensedKey(license, recipient, keys.enc, engine);
    const bytes = engine.exportSecret(secret!);
    try {
      return {
        keys: [
          { kty: 'oct', alg: keys.enc.algorithm, ...named(keys.enc.kid), k: base64(bytes) },
          { kty: 'okp', alg: 'ed25519', ...named(signer.kid), x: base64(signer.publicKey) },
        ],
      };
    } finally {
      engine.wipe(bytes);
      secret!.dispose();
    }
  } finally {
    access.dispose();
  }
}

function named(kid: string | null): { kid?: string } {
  return kid === null ? {} : { kid };
}

function base64({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
