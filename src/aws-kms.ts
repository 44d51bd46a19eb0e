/**
 * Master keys that AWS KMS encrypts: `cryptotensors/aws-kms`. Needs the package `@aws-sdk/client-kms`.
 *
 * @packageDocumentation
 */
import type { KMSClient, KMSClientConfig } from '@aws-sdk/client-kms';
import { lazily } from './lazy.js';
import { getEngine } from './engine/load.js';
import { AEAD_KEY_BYTES } from './format/vocabulary.js';
import type { AeadAlgorithm } from './format/vocabulary.js';
import { CryptoTensorsError, argumentError, quoteInput } from './errors.js';
import { keyUnavailable } from './keys/unavailable.js';
import { randomKid } from './keys/generate.js';
import { checkProviderName } from './keys/providers/arguments.js';
import { createKmsKey, kmsProvider } from './keys/providers/kms.js';
import type { KmsApi, KmsJwk, KmsKeySet, KmsKeysInput } from './keys/providers/kms.js';
import type { KeyProvider } from './keys/providers/types.js';
import { checkInteger, checkOneOf, checkString, isPlainObject, ownOptions } from './options.js';
import { option, say } from './wording.js';

export type { KmsJwk, KmsKeySet, KmsKeysInput };

/** How to reach AWS KMS: a client that is there already, or the configuration of one. Default: what the environment says. */
export interface KmsAccess {
  client?: KMSClient;
  clientConfig?: KMSClientConfig;
  /**
   * Further pairs of the encryption context, such as a tenant; the same are needed to decrypt. The `kid` and the algorithm are
   * in it always. Not secret: AWS logs it.
   */
  encryptionContext?: Readonly<Record<string, string>>;
}

export interface KmsKeyProviderOptions extends KmsAccess {
  /** The key set with the encrypted master keys: a path (read anew each time), its JSON as bytes, or the object. */
  keys: KmsKeysInput;
  /**
   * The KMS key that must have encrypted them, best as its full ARN. Without it, whoever can write the key set can put a key of
   * an AWS account of their own there.
   */
  keyId?: string;
  /** How long to wait for KMS, in milliseconds. Default 10,000. */
  timeoutMs?: number;
  /** Its name in the registry and in messages. Default: `aws-kms`. */
  name?: string;
}

export interface CreateKmsKeysOptions extends KmsAccess {
  /** The KMS key to encrypt with: its ARN, id or alias. */
  keyId: string;
  /** What the master key is for. Default: `aes256gcm`. */
  algorithm?: AeadAlgorithm;
  /** Key id of the master key. Default: random. */
  encKid?: string;
}

/**
 * A provider of master keys that lie encrypted in a key set, and that AWS KMS decrypts when one is needed (`kms:Decrypt`). Put
 * `cachedKeyProvider` in front where many files are opened. For the functions without `Sync`.
 *
 * @throws {TypeError} for an option of the wrong type or an unknown one
 * @throws {CryptoTensorsError} `InvalidOption`; `InvalidKey` for a key set that is malformed
 */
export function kmsKeyProvider(options: KmsKeyProviderOptions): KeyProvider {
  const own = ownOptions<KmsKeyProviderOptions>(
    options,
    ['client', 'clientConfig', 'encryptionContext', 'keys', 'keyId', 'timeoutMs', 'name'],
    'kmsKeyProvider',
  );
  if (own.keys === undefined)
    throw argumentError('options.keys', 'a path, its JSON as bytes, or a key set object', undefined);
  checkString(own.keyId, 'options.keyId');
  checkInteger(own.timeoutMs, 'options.timeoutMs', 1, 2 ** 31 - 1);
  checkProviderName(own.name);
  return kmsProvider({
    api: connect(own),
    keys: own.keys,
    keyId: own.keyId,
    context: checkContext(own.encryptionContext),
    name: own.name ?? 'aws-kms',
    timeoutMs: own.timeoutMs,
    engine: getEngine(),
  });
}

/**
 * Makes a master key inside AWS KMS (`kms:GenerateDataKeyWithoutPlaintext`) and resolves to a key set that holds it encrypted,
 * to be stored: the key itself is seen by nobody until a file is opened or written with it.
 *
 * @throws {TypeError} for an option of the wrong type or an unknown one
 * @throws {CryptoTensorsError} `InvalidOption`; whatever the AWS client throws
 */
export async function createKmsKeys(options: CreateKmsKeysOptions): Promise<KmsKeySet> {
  const own = ownOptions<CreateKmsKeysOptions>(
    options,
    ['client', 'clientConfig', 'encryptionContext', 'keyId', 'algorithm', 'encKid'],
    'createKmsKeys',
  );
  const { keyId, algorithm = 'aes256gcm', encKid } = own;
  if (typeof keyId !== 'string' || keyId === '')
    throw argumentError('options.keyId', 'the ARN, id or alias of a KMS key', keyId);
  checkOneOf(algorithm, 'options.algorithm', Object.keys(AEAD_KEY_BYTES));
  checkString(encKid, 'options.encKid');
  if (encKid === '') throw new CryptoTensorsError('InvalidOption', say`${option('encKid')} must not be empty`);
  const kid = encKid ?? randomKid(getEngine());
  const context = checkContext(own.encryptionContext);
  return { keys: [await createKmsKey(connect(own), { keyId, kid, algorithm, context })] };
}

/** The client is made, and the package loaded, when it is first needed. */
function connect({ client, clientConfig }: KmsAccess): KmsApi {
  if (client !== undefined && clientConfig !== undefined) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('client')} and ${option('clientConfig')} exclude each other`,
    );
  }
  if (clientConfig !== undefined && !isPlainObject(clientConfig)) {
    throw argumentError('options.clientConfig', 'the configuration of a KMSClient', clientConfig);
  }
  if (client !== undefined && typeof (client as { send?: unknown } | null)?.send !== 'function') {
    throw argumentError('options.client', 'a KMSClient', client);
  }
  let made: KMSClient | undefined;
  const reach = async () => {
    const sdk = await loadSdk();
    made ??= client ?? new sdk.KMSClient(clientConfig ?? {});
    return { sdk, client: made };
  };
  return {
    async decrypt({ ciphertext, keyId, context }, signal) {
      const kms = await reach();
      const command = new kms.sdk.DecryptCommand({
        CiphertextBlob: ciphertext,
        EncryptionContext: context,
        ...(keyId === undefined ? {} : { KeyId: keyId }),
      });
      const { Plaintext, KeyId } = await kms.client.send(command, { abortSignal: signal });
      return { plaintext: Plaintext, keyId: KeyId };
    },
    async generate({ keyId, bytes, context }) {
      const kms = await reach();
      const command = new kms.sdk.GenerateDataKeyWithoutPlaintextCommand({
        KeyId: keyId,
        NumberOfBytes: bytes,
        EncryptionContext: context,
      });
      return (await kms.client.send(command)).CiphertextBlob;
    },
  };
}

async function loadSdk(): Promise<typeof import('@aws-sdk/client-kms')> {
  try {
    return await lazily(() => import('@aws-sdk/client-kms'));
  } catch (cause) {
    if (cause instanceof CryptoTensorsError) throw cause;
    throw keyUnavailable(
      'AWS KMS needs the package @aws-sdk/client-kms, which does not load: npm install @aws-sdk/client-kms',
      { cause, retryable: false },
    );
  }
}

/** A copy. */
function checkContext(context: unknown): Record<string, string> {
  if (context === undefined) return {};
  if (!isPlainObject(context)) throw argumentError('options.encryptionContext', 'a plain object', context);
  const pairs = Object.entries(context).map(([name, value]: [string, unknown]): [string, string] => {
    if (typeof value !== 'string') {
      throw argumentError(`options.encryptionContext[${quoteInput(name)}]`, 'a string', value);
    }
    if (name.startsWith('cryptotensors:')) {
      throw new CryptoTensorsError(
        'InvalidOption',
        say`${option('encryptionContext')}: names that begin with cryptotensors: are reserved`,
      );
    }
    return [name, value];
  });
  return Object.fromEntries(pairs);
}
