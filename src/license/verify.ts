import { parseSignature } from '../format/crypto-metadata.js';
import type { KeysInput } from '../keys/keyring.js';
import type { SigningKey } from '../keys/types.js';
import { checkFunction, checkSignal, checkString, ownOptions } from '../options.js';
import { createAccess } from '../open/access.js';
import type { Access } from '../open/access.js';
import { naming, publicError } from '../model/faults.js';
import { resolveModel } from '../model/input.js';
import type { OpenInput } from '../model/input.js';
import { readUnplacedHeader } from '../open/detached.js';
import { checkBody, enforceTerms } from '../open/license.js';
import { startVerification } from '../open/signature.js';
import { openSource, readBlob } from '../model/source.js';
import { runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import { licenseFacts, readLicense } from './inspect.js';
import type { LicenseDocument, LicenseFacts, LicenseInput } from './inspect.js';
import { Reserved } from '../format/vocabulary.js';

/** Options of `verifyLicense`. */
export interface VerifyLicenseOptions {
  /** Public keys that may have signed it. Default: the signing keys in `keys`. */
  trust?: KeysInput;
  /** Signing keys to trust. Default: the registered providers and `CRYPTOTENSOR_KEYS`. */
  keys?: KeysInput;
  /** Verify with the key of this id, whatever the licence names. */
  signKid?: string;
  /** The file that it should open, or a detached header of it. Default: that is not checked. */
  body?: OpenInput;
  /** The time to hold it against. Default: the system's clock. */
  now?: () => Date | bigint;
  signal?: AbortSignal;
}

/** A licence whose signature was verified, and that is valid now. */
export interface LicenseVerification extends LicenseFacts {
  /** Key id of the signer. */
  signer: string | null;
}

const OPTIONS: readonly (keyof VerifyLicenseOptions)[] = ['trust', 'keys', 'signKid', 'body', 'now', 'signal'];

/**
 * Checks a licence as `safeOpen` does, but for what takes the customer's private key: its signature, whether it is for this body,
 * whether it is valid now. Its policy is not asked.
 *
 * @throws {CryptoTensorsError} `InvalidLicense`, `BadSignature`, `UntrustedSigner`, `KeyNotFound`, `KeyRevoked`, `LicenseMismatch`,
 * `LicenseExpired`, `LicenseNotYetValid`, `FileError`; what `inspectFile` throws of the body
 */
export async function verifyLicense(
  license: LicenseInput,
  options: VerifyLicenseOptions = {},
): Promise<LicenseVerification> {
  const own = ownVerifyOptions(options, OPTIONS, 'verifyLicense');
  if (own.body !== undefined) resolveModel(own.body, 'options.body');
  return runAsync(verify(license, own));
}

/** As own properties. @throws TypeError */
export function ownVerifyOptions(
  options: unknown,
  names: readonly (keyof VerifyLicenseOptions)[],
  where: string,
): VerifyLicenseOptions {
  const own = ownOptions<VerifyLicenseOptions>(options, names, where);
  checkString(own.signKid, 'options.signKid');
  checkFunction(own.now, 'options.now');
  checkSignal(own.signal);
  return own;
}

function* verify(input: LicenseInput, options: VerifyLicenseOptions): Twin<LicenseVerification> {
  const read = yield* readLicense(input);
  const access = yield* licenseAccess(options, read);
  try {
    const { kid: signer } = yield* verifyTerms(read, access);
    if (options.body !== undefined) yield* checkBodyOf(read, options.body);
    return { ...licenseFacts(read), signer };
  } finally {
    access.dispose();
  }
}

/** The keys that the options name. */
export function* licenseAccess(
  { keys, trust, signKid, now, signal }: Omit<VerifyLicenseOptions, 'body'>,
  { engine }: Pick<LicenseDocument, 'engine'>,
): Twin<Access> {
  return yield* createAccess({ keys, trust, signKid, signal, policy: { now } }, engine);
}

/** The signature, then the times. Returns the signer's key id. */
export function* verifyTerms(
  { engine, path, header, keys, license }: LicenseDocument,
  access: Access,
): Twin<SigningKey> {
  try {
    const signature = parseSignature(header.metadata!.get(Reserved.signature)!);
    const candidates = yield* access.verifyingKeys({ kid: keys.sign.kid, jku: keys.sign.jku });
    const verification = yield* startVerification(engine, header, candidates, signature, keys.sign.kid);
    const signer = yield* verification.result();
    enforceTerms(license, access);
    return signer;
  } catch (error) {
    throw naming(publicError(error, { path, names: [], signal: access.signal }), path);
  }
}

function* checkBodyOf({ engine, header }: LicenseDocument, input: OpenInput): Twin<void> {
  const given = resolveModel(input, 'options.body');
  const target = typeof given === 'string' ? given : yield* readBlob(given, 'options.body');
  const path = typeof target === 'string' ? target : undefined;
  try {
    const source = yield* openSource(target, engine);
    try {
      const own = yield* readUnplacedHeader(engine, source);
      checkBody(engine, header, own.header, path);
    } finally {
      source.close();
    }
  } catch (error) {
    throw publicError(error, { path, names: [] });
  }
}
