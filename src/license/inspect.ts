import { LENGTH_BYTES } from '../format/canonical.js';
import { cryptoKeysInfo, parseCryptoKeys, parsePolicy, parseSignature } from '../format/crypto-metadata.js';
import type { CryptoKeys, CryptoKeysInfo, PolicyTexts } from '../format/crypto-metadata.js';
import type { Header } from '../format/header.js';
import { parseLicense } from '../format/license.js';
import type { License } from '../format/license.js';
import { getEngine } from '../engine/load.js';
import type { Engine } from '../engine/types.js';
import type { AgreementCurve } from '../format/vocabulary.js';
import { readLicenseHeader } from '../open/detached.js';
import { publicError } from '../model/faults.js';
import { resolveInput } from '../model/input.js';
import type { BytesInput } from '../model/input.js';
import { bodyId } from '../open/license.js';
import { licenseInfo } from '../model/license-info.js';
import type { LicenseInfo } from '../model/license-info.js';
import { runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import { Reserved } from '../format/vocabulary.js';

/** The path or `file:` URL of a licence, or its bytes. */
export type LicenseInput = string | URL | BytesInput;

/** What a licence says, and what it is for. */
export interface LicenseFacts extends LicenseInfo {
  /** Id of the body that it is for. */
  body: string;
  /** The customer's key: the RFC 7638 thumbprint and the curve. */
  recipient: { thumbprint: string; curve: AgreementCurve };
}

/** What a licence says, **unverified**: anybody could have written it. No secret is in it. */
export interface LicenseInspection extends LicenseFacts {
  /** Always false: `verifyLicense` and `safeOpen` check it. */
  verified: false;
  /** The keys that it names: the licence's own master key, and the signer. */
  keys: CryptoKeysInfo;
  policy: PolicyTexts;
  tensors: number;
  /** Size of the licence. */
  bytes: number;
}

/** A licence, taken apart. */
export interface LicenseDocument {
  engine: Engine;
  path: string | undefined;
  header: Header;
  keys: CryptoKeys;
  license: License;
  body: string;
}

/** What to tell the caller of a licence. */
export function licenseFacts({ license, body }: Pick<LicenseDocument, 'license' | 'body'>): LicenseFacts {
  const { recipient: thumbprint, curve } = license.key;
  return { ...licenseInfo(license), body, recipient: { thumbprint, curve } };
}

/** Reads a licence without any key. @throws {CryptoTensorsError} `InvalidLicense`, `FileError` */
export async function inspectLicense(license: LicenseInput): Promise<LicenseInspection> {
  const { header, keys, license: terms, body } = await runAsync(readLicense(license));
  return {
    verified: false,
    ...licenseFacts({ license: terms, body }),
    keys: cryptoKeysInfo(keys),
    policy: parsePolicy(header.metadata!.get(Reserved.policy)!),
    tensors: header.count,
    bytes: LENGTH_BYTES + header.length,
  };
}

/** The structure of a licence, wholly checked; its signature is not. */
export function* readLicense(input: LicenseInput): Twin<LicenseDocument> {
  const target = resolveInput(input, 'license');
  const path = typeof target === 'string' ? target : undefined;
  const engine = getEngine();
  try {
    const header = yield* readLicenseHeader(engine, target);
    const metadata = header.metadata!;
    parseSignature(metadata.get(Reserved.signature)!);
    const keys = parseCryptoKeys(metadata.get(Reserved.cryptoKeys)!);
    return { engine, path, header, keys, license: parseLicense(header)!, body: bodyId(engine, header)! };
  } catch (error) {
    throw publicError(error, { path, names: [] });
  }
}
