import { getEngine } from './engine/load.js';
import type { KeyRing } from './keys/keyring.js';
import { ownOptions } from './options.js';
import { checkProviderName } from './keys/providers/arguments.js';
import * as cached from './keys/providers/cached.js';
import type { CacheOptions, CachedKeyProvider } from './keys/providers/cached.js';
import * as direct from './keys/providers/direct.js';
import * as directory from './keys/providers/directory.js';
import * as file from './keys/providers/file.js';
import * as https from './keys/providers/https.js';
import type { HttpsKeyOptions } from './keys/providers/https.js';
import type { KeyProvider } from './keys/providers/types.js';

export interface NamedProviderOptions {
  /** Its name in the registry and in messages. Default: the kind of provider, such as `file`. */
  name?: string;
}

/**
 * A provider of the keys in a ring, to be registered so that they serve wherever no `keys` option is given. They stay the
 * ring's: dispose it after the provider was unregistered.
 *
 * @throws {TypeError} if it is not a ring
 */
export function directKeyProvider(ring: KeyRing, options: NamedProviderOptions = {}): KeyProvider {
  return direct.directKeyProvider(ring, nameIn(options, 'directKeyProvider'));
}

/**
 * A provider over JWK and JWK set files, read anew each time a key is needed, so that a file can be replaced while the process
 * runs.
 *
 * @throws {TypeError} for anything but a list of paths
 * @throws {CryptoTensorsError} `InvalidOption`
 */
export function fileKeyProvider(paths: readonly (string | URL)[], options: NamedProviderOptions = {}): KeyProvider {
  return file.fileKeyProvider(paths, getEngine(), nameIn(options, 'fileKeyProvider'));
}

/**
 * A provider over a folder of JWK and JWK set files, `*.json` and `*.jwk`, read anew each time a key is needed. Symbolic links
 * must stay in the folder.
 *
 * @throws {TypeError} for anything but a path
 * @throws {CryptoTensorsError} `InvalidOption`
 */
export function directoryKeyProvider(path: string | URL, options: NamedProviderOptions = {}): KeyProvider {
  return directory.directoryKeyProvider(path, getEngine(), nameIn(options, 'directoryKeyProvider'));
}

/**
 * A provider over a JWK set at one `https:` address: no redirects, no proxies, bounded in size and time, kept in native memory
 * for `ttlMs`. For the functions without `Sync`.
 *
 * @throws {TypeError} for an option of the wrong type or an unknown one
 * @throws {CryptoTensorsError} `InvalidOption`
 */
export function httpsKeyProvider(url: string | URL, options: HttpsKeyOptions = {}): CachedKeyProvider {
  return https.httpsKeyProvider(url, options, getEngine());
}

/**
 * Remembers the answers of a provider in native memory for `ttlMs`, and asks it once for all who want the same key at the
 * same time. Dispose it to wipe what it keeps.
 *
 * @throws {TypeError} for an option of the wrong type or an unknown one
 * @throws {CryptoTensorsError} `InvalidOption`
 */
export function cachedKeyProvider(provider: KeyProvider, options: CacheOptions = {}): CachedKeyProvider {
  return cached.cachedKeyProvider(provider, options, getEngine());
}

function nameIn(options: NamedProviderOptions, where: string): string | undefined {
  const { name } = ownOptions<NamedProviderOptions>(options, ['name'], where);
  checkProviderName(name);
  return name;
}
