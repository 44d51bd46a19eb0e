import { isNativeError } from 'node:util/types';
import { createRequire } from 'node:module';
import type * as pkcs11js from 'pkcs11js';
import { keyUnavailable } from '../../unavailable.js';
import { CryptoTensorsError, quote } from '../../../errors.js';
import { IV_BYTES, TAG_BYTES } from '../../../format/vocabulary.js';

export type Pkcs11 = pkcs11js.PKCS11;
export type Handle = pkcs11js.Handle;

/** Numbers of the standard (PKCS#11 3.0). Those that pkcs11js, which follows 2.40, does not know among them. */
export const CK = {
  OS_LOCKING_OK: 0x2,
  SERIAL_SESSION: 0x4,
  TOKEN_INITIALIZED: 0x400,
  USER: 1,
  CLASS: 0x0,
  LABEL: 0x3,
  KEY_TYPE: 0x100,
  ID: 0x102,
  ENCRYPT: 0x104,
  DECRYPT: 0x105,
  SIGN: 0x108,
  VALUE_LEN: 0x161,
  EC_POINT: 0x181,
  PUBLIC_KEY: 0x2,
  PRIVATE_KEY: 0x3,
  SECRET_KEY: 0x4,
  AES: 0x1f,
  EC_EDWARDS: 0x40,
  EDDSA: 0x1057,
  AES_GCM: 0x1087,
} as const;

const require = createRequire(import.meta.url);

/** Libraries that this thread has loaded, by path. They stay: other code of the process may have initialised or use them too. */
const loaded = new Map<string, Pkcs11>();

/**
 * The PKCS#11 library at a path, initialised.
 *
 * @throws {CryptoTensorsError} `NativeUnavailable` if the package pkcs11js is not there; `KeyUnavailable` if the library does not load
 */
export function loadLibrary(path: string): Pkcs11 {
  const known = loaded.get(path);
  if (known !== undefined) return known;
  const { PKCS11 } = requirePackage();
  const library = new PKCS11();
  try {
    library.load(path);
  } catch (cause) {
    throw keyUnavailable(
      `the PKCS#11 library ${quote(path)} does not load: ${(cause as Error).message}. The module option is the path of the library that came with the token, for this processor`,
      { path, cause },
    );
  }
  try {
    library.C_Initialize({ flags: CK.OS_LOCKING_OK });
  } catch (cause) {
    if (errorName(cause) !== 'CKR_CRYPTOKI_ALREADY_INITIALIZED') throw tokenError('it does not initialise', cause);
  }
  loaded.set(path, library);
  return library;
}

/** AES-GCM without additional data, with parameters as of PKCS#11 2.40 and later. */
export function aesGcm(iv: Uint8Array): pkcs11js.Mechanism {
  const parameter = {
    type: requirePackage().CK_PARAMS_AES_GCM_v240,
    iv: view(iv),
    ivBits: IV_BYTES * 8,
    tagBits: TAG_BYTES * 8,
  };
  return { mechanism: CK.AES_GCM, parameter };
}

/** A CK_ULONG in memory; little-endian on all platforms that this package runs on. */
export function readUlong(bytes: Uint8Array): number {
  return bytes.reduceRight((number, byte) => number * 256 + byte, 0);
}

/** The bytes as the class that pkcs11js wants; not a copy. */
export function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function requirePackage(): typeof pkcs11js {
  try {
    return require('pkcs11js') as typeof pkcs11js;
  } catch (cause) {
    throw new CryptoTensorsError(
      'NativeUnavailable',
      'keys on a PKCS#11 token need the package pkcs11js, which is not installed or does not load: npm install pkcs11js. It is compiled on installation, which takes a C++ compiler, make and Python 3',
      { cause },
    );
  }
}

/** `CKR_PIN_INCORRECT`, …: what a token answered; null for any other error. */
export function errorName(error: unknown): string | null {
  const { code } = (isNativeError(error) ? error : {}) as { code?: unknown };
  return typeof code === 'number' && code !== 0 ? (answerNames().get(code) ?? null) : null;
}

let names: ReadonlyMap<number, string> | null = null;

/** The names of a token's answers, by number. */
function answerNames(): ReadonlyMap<number, string> {
  names ??= new Map(
    Object.entries(requirePackage())
      .filter(([name, value]) => name.startsWith('CKR_') && typeof value === 'number')
      .map(([name, value]) => [value as unknown as number, name]),
  );
  return names;
}

/** Answers after which the same may succeed later: a token can be put back, and others end their sessions. */
const TRANSIENT: ReadonlySet<string> = new Set([
  'CKR_DEVICE_ERROR', 'CKR_DEVICE_MEMORY', 'CKR_DEVICE_REMOVED', 'CKR_HOST_MEMORY', 'CKR_OPERATION_ACTIVE', 'CKR_SESSION_CLOSED',
  'CKR_SESSION_COUNT', 'CKR_SESSION_HANDLE_INVALID', 'CKR_TOKEN_NOT_PRESENT',
]); // prettier-ignore

/** What went wrong with the token, in words that repeat nothing but the name of its answer. */
export function tokenError(problem: string, cause: unknown): CryptoTensorsError {
  if (cause instanceof CryptoTensorsError) return cause;
  const name = errorName(cause);
  const answer = name === null ? '' : ` (${name})`;
  return keyUnavailable(`the PKCS#11 token: ${problem}${answer}`, {
    cause,
    retryable: name !== null && TRANSIENT.has(name),
  });
}
