import { throwIfAborted } from '../../abort.js';
import { isNativeError, isUint8Array } from 'node:util/types';
import { CryptoTensorsError, argumentError, quote } from '../../errors.js';
import { AEAD_KEY_BYTES } from '../../format/vocabulary.js';
import type { Engine } from '../../engine/types.js';
import type { AeadAlgorithm } from '../../format/vocabulary.js';
import { runAsync } from '../../twin.js';
import type { KeyOrigin } from '../jwk-document.js';
import { keyUnavailable } from '../unavailable.js';
import { readKeyFile } from '../key-file.js';
import { ownMembers } from '../../options.js';
import { isUrl, resolvePath } from '../../path-argument.js';
import { redactError } from '../../redacted-error.js';
import { CIPHERTEXT_MEMBER, readKmsDocument } from './kms-document.js';
import type { KmsEntry } from './kms-document.js';
import { PROVIDER_PRIORITY } from './types.js';
import type { KeyMaterial, KeyProvider, KeySelector } from './types.js';

/** A JWK set whose master keys are encrypted by AWS KMS: fit to be stored and shipped, for it holds no secret. */
export interface KmsKeySet {
  readonly keys: readonly KmsJwk[];
}

export interface KmsJwk {
  readonly kty: 'oct';
  readonly alg: AeadAlgorithm;
  readonly kid: string;
  /** Standard base64 of KMS's `CiphertextBlob`, in place of `k`. */
  readonly kms_ciphertext: string;
  readonly state?: KmsEntry['state'];
}

/** What is needed of AWS KMS. */
export interface KmsApi {
  decrypt(
    request: { ciphertext: Uint8Array; keyId: string | undefined; context: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<{ plaintext: Uint8Array | undefined; keyId: string | undefined }>;
  generate(request: {
    keyId: string;
    bytes: number;
    context: Readonly<Record<string, string>>;
  }): Promise<Uint8Array | undefined>;
}

/** Where a `KmsKeySet` is: a path, its JSON as bytes, or the object. */
export type KmsKeysInput = string | URL | Uint8Array | KmsKeySet;

export interface KmsProviderParts {
  readonly api: KmsApi;
  readonly keys: KmsKeysInput;
  /** The KMS key that must have encrypted the master keys. */
  readonly keyId: string | undefined;
  readonly context: Readonly<Record<string, string>>;
  readonly name: string;
  readonly timeoutMs: number | undefined;
  readonly engine: Engine;
}

/** The master keys of a `KmsKeySet`, decrypted by AWS KMS when one is needed. */
export function kmsProvider(parts: KmsProviderParts): KeyProvider {
  const read = documentReader(parts.keys, parts.engine);
  return {
    name: parts.name,
    priority: PROVIDER_PRIORITY.native,
    wipeAnswers: true,
    roles: ['master'],
    ...(parts.timeoutMs === undefined ? {} : { timeoutMs: parts.timeoutMs }),
    async find(selector, { signal }) {
      const material: KeyMaterial[] = [];
      for (const entry of (await read()).filter((one) => fits(one, selector))) {
        material.push(await decryptEntry(entry, parts, signal));
      }
      return material;
    },
  };
}

/** A fresh master key that nobody has seen, encrypted by AWS KMS. */
export async function createKmsKey(
  api: KmsApi,
  {
    keyId,
    kid,
    algorithm,
    context,
  }: { keyId: string; kid: string; algorithm: AeadAlgorithm; context: Readonly<Record<string, string>> },
): Promise<KmsJwk> {
  const ciphertext = await api.generate({
    keyId,
    bytes: AEAD_KEY_BYTES[algorithm],
    context: encryptionContext(kid, algorithm, context),
  });
  if (ciphertext === undefined) throw keyUnavailable('AWS KMS gave no ciphertext');
  const encoded = Buffer.from(ciphertext).toString('base64');
  return { kty: 'oct', alg: algorithm, kid, [CIPHERTEXT_MEMBER]: encoded };
}

/**
 * What KMS authenticates beside the ciphertext: a blob decrypts under its own kid and algorithm only, so that whoever edits
 * the document cannot swap keys. The caller's own pairs cannot replace these.
 */
function encryptionContext(
  kid: string,
  algorithm: AeadAlgorithm,
  context: Readonly<Record<string, string>>,
): Record<string, string> {
  return { ...context, 'cryptotensors:kid': kid, 'cryptotensors:alg': algorithm };
}

function documentReader(keys: KmsKeysInput, engine: Engine): () => Promise<KmsEntry[]> {
  if (typeof keys === 'string' || isUrl(keys)) {
    const path = resolvePath(keys, 'options.keys');
    const origin: KeyOrigin = { where: quote(path), path };
    // Read anew each time, so that the file can be replaced while the process runs.
    return async () => readKmsDocument(await runAsync(readKeyFile(path, engine)), origin);
  }
  if (typeof keys !== 'object' || (keys as unknown) === null) {
    throw argumentError('options.keys', 'a path, its JSON as bytes, or a key set object', keys);
  }
  const text = isUint8Array(keys) ? keys : kmsTextOf(keys);
  const entries = readKmsDocument(text, { where: 'options.keys' });
  return () => Promise.resolve(entries);
}

/** JSON text of a key set that came as an object, of its own members alone. */
function kmsTextOf(keys: object): Uint8Array {
  const members = ['kty', 'kid', 'alg', 'state', 'k', CIPHERTEXT_MEMBER] as const;
  const pick = (jwk: unknown): unknown =>
    typeof jwk === 'object' && jwk !== null ? ownMembers(jwk, members as never) : jwk;
  const set: { keys?: unknown } = ownMembers<{ keys: unknown }>(keys, ['keys']);
  const document = Array.isArray(set.keys)
    ? { keys: set.keys.map(pick) }
    : Object.hasOwn(set, 'keys')
      ? set
      : pick(keys);
  return new TextEncoder().encode(JSON.stringify(document));
}

function fits({ kid, algorithm }: KmsEntry, selector: KeySelector): boolean {
  return (
    (selector.kid === null || selector.kid === kid) && (selector.algorithm === null || selector.algorithm === algorithm)
  );
}

async function decryptEntry(entry: KmsEntry, parts: KmsProviderParts, signal: AbortSignal): Promise<KeyMaterial> {
  const { kid, algorithm, state, ciphertext } = entry;
  if (state === 'revoked') return { kty: 'oct', kid, alg: algorithm, state };
  const { api, keyId } = parts;
  let answer: Awaited<ReturnType<KmsApi['decrypt']>>;
  try {
    answer = await api.decrypt(
      { ciphertext, keyId, context: encryptionContext(kid, algorithm, parts.context) },
      signal,
    );
  } catch (cause) {
    throwIfAborted(signal);
    const reason = isNativeError(cause) ? redactError(cause).name : 'it failed';
    throw refused(kid, `AWS KMS does not decrypt the master key ${quote(kid)}: ${reason}`, cause);
  }
  const key = answer.plaintext;
  if (key === undefined) throw refused(kid, `AWS KMS gave no plaintext for the master key ${quote(kid)}`);
  // A key id in full says exactly which key is meant; aliases and short ids are left to KMS.
  if (keyId?.includes(':key/') === true && answer.keyId !== keyId) {
    parts.engine.wipe(key);
    throw refused(kid, `the master key ${quote(kid)} is encrypted under another KMS key than options.keyId`);
  }
  return { kid, algorithm, key, state };
}

function refused(kid: string, message: string, cause?: unknown): CryptoTensorsError {
  return keyUnavailable(message, { kid, cause });
}
